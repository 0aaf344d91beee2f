"""File locks. The kernel releases a lock when the process that holds it ends, even if it is killed.

`users.lock` is shared by all processes that use a data directory. `process.lock` is held by the server process of that
directory, and `start.lock` by the client that is starting the server process.
"""

import fcntl
import os
from pathlib import Path

USERS, PROCESS, START = "users.lock", "process.lock", "start.lock"
SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX


def try_lock(path: Path, mode: int) -> int | None:
    """Lock the file without waiting; return its descriptor, or None if the lock is taken."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def lock(path: Path, mode: int) -> int:
    """Wait for the lock and return its file descriptor; closing it unlocks the file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, mode)
    return fd


def is_free(path: Path) -> bool:
    """Tell whether the lock is free."""
    held = try_lock(path, EXCLUSIVE)
    if held is not None:
        os.close(held)
    return held is not None
