"""The reference API's schemas."""
