"""One worker: server, drain, applying values, reporting."""
