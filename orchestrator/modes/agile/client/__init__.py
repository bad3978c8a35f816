"""Reaching an API server: which, with whose access, over which connections, and at what pace."""
