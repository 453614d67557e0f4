"""All that a decision rests on, and what is remembered."""
