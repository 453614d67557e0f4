"""Start lines of gunicorn and uvicorn, and what they become: command line, environment and files as our settings."""
