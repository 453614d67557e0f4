"""The pod's process pool: one process that owns the children, which workers call and the agent keeps alive."""
