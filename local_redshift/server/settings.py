"""Settings of the embedded server: like Redshift in its SQL, and tuned for one user who loads in bulk."""

import sys

# Shared memory of parallel queries. Linux's default is files in /dev/shm, and fails where that is small (as in a
# container) or read-only. macOS has no such folder, and tight limits for the alternative.
SHARED_MEMORY = "sysv" if sys.platform.startswith("linux") else "posix"

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "250",  # a client that runs a COPY has two sessions
    "unix_socket_permissions": "0700",
    # Redshift: snapshot isolation, UTC, backslash escapes in plain string literals
    # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
    "default_transaction_isolation": "repeatable read",
    "timezone": "UTC",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    # Redshift's functions and system tables precede PostgreSQL's of the same name
    "search_path": '"$user", public, local_redshift, pg_catalog',
    # a statement may contain a credential, so statements are never logged
    "log_min_error_statement": "panic",
    # A warehouse of one user that loads in bulk. What was committed survives a crash of the server and of
    # the machine: fsync, full_page_writes and synchronous_commit have their defaults.
    "wal_level": "minimal",  # a table emptied in the same transaction is loaded without a log
    "max_wal_senders": "0",
    "wal_init_zero": "off",
    "wal_buffers": "64MB",
    "wal_writer_delay": "10ms",  # a load's log is written beside it, not by the load itself
    "max_wal_size": "4GB",  # no checkpoint in the middle of a load
    "checkpoint_timeout": "1h",
    "shared_buffers": "512MB",
    # logs arrive nearly sorted, and sorting a million wide rows takes two thirds of the time of hashing them: so more
    # memory for sorts than for hash tables
    "work_mem": "128MB",
    "hash_mem_multiplier": "1",
    # a cluster joins equal values by hash; a nested loop would search a zone map once per row
    "enable_nestloop": "off",
    "random_page_cost": "1",  # what a zone map leads to lies side by side
    # two processes to a query, also where the rows to gather are many
    "max_parallel_workers_per_gather": "1",
    "parallel_setup_cost": "100",
    "parallel_tuple_cost": "0.01",
    "dynamic_shared_memory_type": SHARED_MEMORY,
    "jit": "off",  # a load runs each plan once, so compiling it does not pay
}
