"""One pod's process tree: one folder a process; what they share lies beside the folders."""
