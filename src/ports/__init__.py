"""What the service needs from outside, as Protocols; `wiring.py` passes the adapters in."""
