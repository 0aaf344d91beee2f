"""What common.py stands on: settings, the way to a warehouse, sessions, retries, messages, the command line."""
