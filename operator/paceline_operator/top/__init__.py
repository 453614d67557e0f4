"""`kubectl paceline top`: the fleet as a table in the terminal, live."""
