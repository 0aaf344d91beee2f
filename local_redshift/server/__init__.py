"""The processes behind a data directory: PostgreSQL, and the one that serves it to clients."""
