"""Gather → decide → apply → report, for each policy, for ever. Talks to the world through `ports` only."""
