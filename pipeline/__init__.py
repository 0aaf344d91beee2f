"""Internals of the ETL scripts: settings, connections, sessions, checks, messages."""
