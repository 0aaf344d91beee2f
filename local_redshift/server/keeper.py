"""Stop the embedded server once the last process using it is gone, however it went.

Every process that uses a server holds a shared lock on its `users.lock`; the kernel lets go of it when
the process ends, also when it is killed. The keeper, a small process started with the server, waits
for the exclusive lock: once it has it, nobody is left, and it stops the server. It imports nothing
but the standard library, because it lives as long as the server does.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_SECONDS = 60  # a shutdown writes all that is dirty to the disk; past this it is stuck


def server_pid(pgdata: Path) -> int | None:
    """The process id of the server on `pgdata`, or None where none runs.

    `postmaster.pid` outlives a server that was killed, and its number may by then be another
    process's: only a process whose command line names `pgdata` counts.
    """
    try:
        pid = int((pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
        command = _command_line(pid)
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(pgdata) in command else None


def _command_line(pid: int) -> bytes:
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        return proc.read_bytes()
    listing = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, check=False).stdout


def stop(pgdata: Path, patience: float = STOP_SECONDS) -> bool:
    """Stop the server on `pgdata`, if one runs; whether it was gone within `patience` seconds.

    Open connections are ended ("fast shutdown"): only call this where nobody uses the server.
    """
    pid = server_pid(pgdata)
    if pid is None:
        return True
    deadline = time.monotonic() + patience
    os.kill(pid, signal.SIGINT)
    while server_pid(pgdata) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def try_lock(path: Path, mode: int) -> int | None:
    """Lock the file `path` without waiting; its descriptor, or None where someone else has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def lock(path: Path, mode: int) -> int:
    """Lock the file `path`, waiting for it; closing the descriptor returned lets go of it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, mode)
    return fd


def keep(data_dir: Path) -> None:
    """Wait for the last user of the server in `data_dir` to go, then stop the server."""
    if try_lock(data_dir / "keeper.lock", fcntl.LOCK_EX) is None:
        return  # another keeper is at it
    lock(data_dir / "users.lock", fcntl.LOCK_EX)
    if not stop(data_dir / "data"):
        # at once, without writing what is dirty: the next start recovers it from the log
        pid = server_pid(data_dir / "data")
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGQUIT)


if __name__ == "__main__":
    # its parent, which may run for long, need not wait for it
    if os.fork() == 0:
        keep(Path(sys.argv[1]))
