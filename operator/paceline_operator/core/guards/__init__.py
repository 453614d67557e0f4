"""Whether to decide at all, and what may hold or cap a proposal."""
