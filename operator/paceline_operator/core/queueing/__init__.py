"""The model of a pod: its formulas, and its fit to a window."""
