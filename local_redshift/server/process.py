"""The process that serves a data directory, for as long as anybody uses it.

It starts PostgreSQL, lets clients in and, once the last process that uses the data directory is gone, stops both. Each
of those holds `users.lock` shared, and the kernel takes it back however it ends; this process waits until it gets the
lock for itself.
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
LOG = "door.log"
RECURSION_LIMIT = 3000  # COPY's records may be nested to 1,000 levels, SUPER's limit; Python's own limit is just that


def main(folder: str) -> None:
    """Serve a data directory; print READY once clients are let in, or why they can't be."""
    data_dir = Path(folder)
    sys.setrecursionlimit(RECURSION_LIMIT)
    # its parent, which may run for long, need not wait for it
    if os.fork() != 0:
        os._exit(0)
    if locks.try_lock(data_dir / locks.DOOR, locks.EXCLUSIVE) is None:
        return  # another process serves it
    postgres = Postgres(data_dir)
    importing = threading.Thread(target=_import_door, args=[data_dir])
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
    os._exit(0)  # at once: a script waits for it


def _import_door(data_dir: Path) -> None:
    """Import what the first client needs: it takes 0.1 s, the grammar most of it.

    What can't be imported is told by `_serve`, which imports it again.
    """
    importlib.import_module("local_redshift.door.listener")
    from local_redshift.sql import prepare, remember

    if not remember(data_dir):
        threading.Thread(target=prepare, daemon=True).start()
    threading.Thread(target=importlib.import_module, args=["local_redshift.copy"], daemon=True).start()


def _serve(postgres: Postgres, is_left_over: bool) -> None:
    from local_redshift.door.listener import Listener
    from local_redshift.server.databases import end_left_over_sessions
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
    with contextlib.suppress(OSError):  # who started this process may be gone
        print(text, flush=True)


def _let_go_of_the_terminal(log: Path) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(fd, stream.fileno())
    os.close(fd)
