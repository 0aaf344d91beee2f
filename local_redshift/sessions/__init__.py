"""Serve clients over PostgreSQL's protocol, using the embedded PostgreSQL."""
