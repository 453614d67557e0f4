"""What there is to talk about: tunables, values, policies, changes, durations."""
