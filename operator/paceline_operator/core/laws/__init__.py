"""What limits the service, what helps, and what must hold."""
