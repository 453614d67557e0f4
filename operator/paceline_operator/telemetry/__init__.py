"""Edge in: what pods report."""
