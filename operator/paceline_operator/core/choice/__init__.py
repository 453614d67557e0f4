"""The settings that come into question, and the choice among them."""
