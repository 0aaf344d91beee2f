"""The process that serves a data directory while anybody uses it.

It starts PostgreSQL, accepts clients and, once the last process that uses the data directory has ended, stops
PostgreSQL and exits. Every process that uses the data directory holds a shared lock on `users.lock`, which the kernel
releases even if that process crashes. So the server process waits for an exclusive lock on that file, which it gets
once the last of them has ended.
"""

import contextlib
import importlib
import os
import sys
import threading
from pathlib import Path

from local_redshift.errors import ServerError
from local_redshift.server import locks
from local_redshift.server.postgres import Postgres, stop

READY = "ready"
LOG = "process.log"
# a SUPER value may have 1,000 levels of nesting, too many for Python's default recursion limit of 1,000
RECURSION_LIMIT = 3000


def main(folder: str) -> None:
    """Serve a data directory. Print READY once clients can connect, or the reason why they can't."""
    data_dir = Path(folder)
    sys.setrecursionlimit(RECURSION_LIMIT)
    # fork, so that the program that starts the server, which may run for a long time, need not reap this process
    if os.fork() != 0:
        os._exit(0)
    if locks.try_lock(data_dir / locks.PROCESS, locks.EXCLUSIVE) is None:
        return  # another process already serves this data directory
    postgres = Postgres(data_dir)
    importing = threading.Thread(target=_import_sessions, args=[data_dir])
    importing.start()  # while PostgreSQL starts
    try:
        is_left_over = not postgres.start()
        importing.join()
        _serve(postgres, is_left_over)
    except ServerError as error:
        _say(str(error))
    except ImportError as error:
        _say(f"the local server did not start: {error}")
    finally:
        postgres.is_stopping = True
        stop(postgres.pgdata)
    os._exit(0)  # skip Python's cleanup: the last process that used the server is waiting for this one to end


def _import_sessions(data_dir: Path) -> None:
    """Import the modules that the first client needs. This takes 0.1 s, mostly to load the SQL grammar.

    Import errors are reported by `_serve`, which imports the same modules.
    """
    importlib.import_module("local_redshift.sessions.listener")
    from local_redshift.sql import prepare, remember

    if not remember(data_dir):
        threading.Thread(target=prepare, daemon=True).start()
    threading.Thread(target=importlib.import_module, args=["local_redshift.copy"], daemon=True).start()


def _serve(postgres: Postgres, is_left_over: bool) -> None:
    from local_redshift.server.databases import end_left_over_sessions
    from local_redshift.sessions.listener import Listener
    from local_redshift.sql import keep

    if is_left_over:
        end_left_over_sessions(postgres)
    listener = Listener(postgres)
    listener.listen(postgres.socket_dir)
    _say(READY)
    _let_go_of_the_terminal(postgres.data_dir / LOG)
    locks.lock(postgres.data_dir / locks.USERS, locks.EXCLUSIVE)
    listener.close()
    keep()


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the process that started this one may have ended
        print(text, flush=True)


def _let_go_of_the_terminal(log: Path) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(fd, stream.fileno())
    os.close(fd)
