"""Custom resources to and from the core."""
