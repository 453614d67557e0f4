"""One pod's process tree: supervisor, agent, arbiter, workers, and the files between them."""
