"""The only reader of the tuning document: sequences changes, adds up workers' reports, serves the management port."""
