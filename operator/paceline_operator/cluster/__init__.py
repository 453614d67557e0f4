"""Edge out: the cluster, or a folder on this machine."""
