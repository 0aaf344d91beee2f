"""The processes of a data directory: PostgreSQL, and the server in front of it."""
