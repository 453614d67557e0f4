"""Whether a change was good, and the way back."""
