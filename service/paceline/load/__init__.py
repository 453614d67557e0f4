"""Open-loop load generator: requests leave when they are due, whatever the responses do."""
