"""`tune.processes`: CPU work in child processes."""
