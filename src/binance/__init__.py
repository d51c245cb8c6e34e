"""The exchange: its REST API, its bulk archive, and what it allows us to ask."""
