"""The reference API's models."""
