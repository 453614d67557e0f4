"""From the pods' reports to one observation of a window."""
