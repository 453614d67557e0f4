"""The only reader of the tuning document: sequences changes, adds up workers' reports, answers the management port."""
