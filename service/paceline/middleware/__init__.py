"""Pure ASGI middleware, one class a file; the stack is a list, outermost first."""
