"""The sessions of clients: PostgreSQL's protocol on one side, the embedded PostgreSQL on the other."""
