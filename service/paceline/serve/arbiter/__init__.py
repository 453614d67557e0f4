"""gunicorn, ours: loads the application, forks workers, takes their number from a file."""
