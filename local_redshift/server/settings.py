"""PostgreSQL settings: SQL as in Redshift, tuned for one user's bulk loads."""

import sys

# Shared memory for parallel queries. Linux gets sysv, because the default, files in /dev/shm, fails if that folder is
# small (as in a container) or read-only. macOS keeps posix, because it has no /dev/shm and its limits for sysv are low.
SHARED_MEMORY = "sysv" if sys.platform.startswith("linux") else "posix"

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "250",  # a client that runs a COPY has two sessions
    "unix_socket_permissions": "0700",
    # as in Redshift: snapshot isolation, UTC, backslash escapes in plain string literals
    # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
    "default_transaction_isolation": "repeatable read",
    "timezone": "UTC",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    # Redshift's functions and system tables take precedence over PostgreSQL's of the same name
    "search_path": '"$user", public, local_redshift, pg_catalog',
    # a statement may contain a credential, so statements are never logged
    "log_min_error_statement": "panic",
    # Tuned for one user's bulk loads. Committed data survives a crash of the server or the machine: fsync,
    # full_page_writes and synchronous_commit keep their defaults.
    "wal_level": "minimal",  # loading a table truncated in the same transaction writes no WAL
    "max_wal_senders": "0",
    "wal_init_zero": "off",
    "wal_buffers": "64MB",
    "wal_writer_delay": "10ms",  # a load's WAL is written by the WAL writer, not by the load itself
    "max_wal_size": "4GB",  # no checkpoint in the middle of a load
    "checkpoint_timeout": "1h",
    "shared_buffers": "512MB",
    # no more memory for hash tables than for sorts, to favour sorting: log files arrive nearly sorted, so sorting a
    # million wide rows takes two thirds as long as hashing them
    "work_mem": "128MB",
    "hash_mem_multiplier": "1",
    # as on a cluster, use hash joins for equality: a nested loop would search a zone map once per row
    "enable_nestloop": "off",
    "random_page_cost": "1",  # the blocks that a zone map selects are adjacent
    # at most one parallel worker per query; low costs, so that queries that return many rows get one too
    "max_parallel_workers_per_gather": "1",
    "parallel_setup_cost": "100",
    "parallel_tuple_cost": "0.01",
    "dynamic_shared_memory_type": SHARED_MEMORY,
    "jit": "off",  # a load runs each plan once, so compiling it does not pay
}
