"""What the service needs from outside, as Protocols; `wiring` passes the adapters in."""
