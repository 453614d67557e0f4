"""The limit on requests at a time in a worker, and the law that moves it."""
