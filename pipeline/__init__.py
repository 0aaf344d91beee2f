"""The modules behind common.py: settings, connections, sessions, retries, messages, command line."""
