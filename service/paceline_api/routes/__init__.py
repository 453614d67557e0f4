"""The reference API's routes."""
