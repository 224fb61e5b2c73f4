"""Pure ASGI middleware: the HTTP patterns that are the same for every framework."""
