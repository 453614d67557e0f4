"""`tune.cache`: two tiers, one fetch at a time, a TTL that is judged when read."""
