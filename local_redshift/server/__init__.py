"""The processes of a data directory: PostgreSQL, and the process that serves it to clients."""
