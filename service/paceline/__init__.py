"""Paceline's runtime: serves any ASGI application and changes its capacity while it runs."""

__version__ = "0.1.0"
