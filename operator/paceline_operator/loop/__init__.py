"""Gather → decide → apply → report, for each policy, for ever. Talks to its surroundings through `ports` only."""
