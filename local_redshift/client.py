"""Connect to the stand-in with psycopg2, starting its server if needed."""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_redshift.errors import LocalRedshiftError, ServerError
from local_redshift.program import HANDOVER, Program
from local_redshift.server import locks
from local_redshift.server.installation import detached
from local_redshift.server.postgres import START_SECONDS, socket_dir, stop
from local_redshift.server.process import LOG, READY
from local_redshift.sessions.protocol import PORT, REQUEST, SOCKET_NAME

if TYPE_CHECKING:
    from psycopg2 import extensions

TRIES = 3  # attempts to start or reach the server, which may just have been killed
STOP_SECONDS = 2  # seconds that a script waits at exit for its server to stop
ROOT = Path(__file__).resolve().parent.parent

# Pass this process's sys.path to the server, so that it can start with -S, which skips the slow search for packages.
_START = "import json, sys; sys.path = json.loads(sys.argv[1]); from local_redshift.server.process import main; "
_START += "main(sys.argv[2])"


def connect(data_dir: str | Path, dbname: str = "dev", user: str = "awsuser") -> "extensions.connection":
    """Connect to the local warehouse in `data_dir`.

    Start the server and create the warehouse, the database and the user if they are missing. The user is an admin, like
    a cluster's first user. The server runs until the last process that connected to it has ended. COPY uses this
    program's AWS settings and resolves relative paths in this program's working directory. Raise ServerError if the
    server can't be started, and psycopg2.ProgrammingError if the server refuses the database or user name.
    """
    import psycopg2

    if importlib.util.find_spec("sqlglot") is None:
        raise LocalRedshiftError(
            f"the package sqlglot is not installed for {sys.executable}; run pip install -r requirements.txt"
        )
    server = get_server(Path(data_dir).resolve())
    server.acquire()
    refused = server.request({"database": dbname, "user": user}).get("refused")
    if refused is not None:
        raise psycopg2.ProgrammingError(refused)
    connection = psycopg2.connect(
        host=str(server.socket_dir),
        hostaddr="",  # empty, to override the environment variable PGHOSTADDR
        port=PORT,
        user=user,
        dbname=dbname,
        client_encoding="UTF8",
        application_name="local_redshift",
    )
    hand_over(connection)
    return connection


def hand_over(connection: "extensions.connection") -> None:
    """Send the server this program's AWS settings and working directory, outside any transaction."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"{HANDOVER} %s", [Program.this().as_json()])
    connection.autocommit = False


def _library_path() -> list[str]:
    """Return sys.path without the script's folder, whose modules could shadow packages."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    packages = ("site-packages", "dist-packages")
    libraries = [
        folder
        for n, folder in enumerate(sys.path)
        if any(name in folder for name in packages) or (n > 0 and folder.startswith(prefixes))
    ]
    return [*libraries, str(ROOT)]


class Server:
    """The process that serves `data_dir`.

    Get it from `get_server`, so that a program has one instance per data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.socket_dir = socket_dir(data_dir / "data")
        self._users_lock: int | None = None

    def acquire(self) -> None:
        """Start the server if needed; keep it running until `release` or process exit."""
        if self._users_lock is None:
            self._users_lock = self._lock(locks.USERS, locks.SHARED)
            atexit.register(self.release)
        if self._answers():
            return
        starting = self._lock(locks.START, locks.EXCLUSIVE)
        try:
            self._start()
        finally:
            os.close(starting)

    def _lock(self, name: str, mode: int) -> int:
        """Create DATA_DIR if needed and lock a file in it; raise ServerError on failure."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            return locks.lock(self.data_dir / name, mode)
        except OSError as error:
            raise ServerError(f"DATA_DIR {self.data_dir} can't be used: {error.strerror}") from error

    def request(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Send the server a request; return its answer.

        Restart the server if it is gone. Raise ServerError if it still does not answer.
        """
        problem: Exception | None = None
        for _ in range(TRIES):
            try:
                with self.ask(asked) as (_, answer):
                    return answer
            except (OSError, json.JSONDecodeError) as error:  # the server may just have been killed
                problem = error
                self.acquire()
        raise ServerError(f"the local server on {self.data_dir} does not answer: {problem}") from problem

    @contextlib.contextmanager
    def ask(self, asked: dict[str, Any]) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
        """Send the server a request; yield the connection and the answer.

        After a "listen" request, the server listens on the new port until this connection is closed.
        """
        body = json.dumps(asked).encode()
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(self.socket_dir / SOCKET_NAME))
            connected.sendall(struct.pack("!ii", len(body) + 8, REQUEST) + body)
            with connected.makefile("rb") as answer:
                yield connected, json.loads(answer.readline())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(self.socket_dir / SOCKET_NAME))
            return True
        return False

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        tries = 0
        while not self._answers():
            # if the lock is not free, another process has started a server: wait for it
            if locks.is_free(self.data_dir / locks.PROCESS):
                command = [sys.executable, "-S", "-c", _START, json.dumps(_library_path()), str(self.data_dir)]
                started = subprocess.run(command, **detached(), stdout=subprocess.PIPE, check=False)
                output = started.stdout.decode(errors="replace").strip()
                tries += output == ""  # no output: the server was killed
                if output not in ("", READY) or tries >= TRIES:
                    raise ServerError(output or f"the local server did not start; see {self.data_dir / LOG}")
            elif time.monotonic() > deadline:
                raise ServerError(f"the local server on {self.data_dir} does not answer; see {self.data_dir / LOG}")
            time.sleep(0.01)

    def release(self) -> None:
        """Stop using the server. The last process to do so waits up to STOP_SECONDS for the server to stop."""
        if self._users_lock is None:
            return
        atexit.unregister(self.release)
        os.close(self._users_lock)
        self._users_lock = None
        with contextlib.suppress(OSError):  # the data directory may have been deleted
            self._await_stop()

    def _await_stop(self) -> None:
        users, process = self.data_dir / locks.USERS, self.data_dir / locks.PROCESS
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            alone = locks.try_lock(users, locks.EXCLUSIVE)
            if alone is not None:
                # the server process has ended; if it was killed, PostgreSQL may still be running
                if locks.is_free(process):
                    stop(self.data_dir / "data")
                    os.close(alone)
                    return
                os.close(alone)  # release the lock, which the server process needs in order to stop
            elif (shared := locks.try_lock(users, locks.SHARED)) is not None:
                os.close(shared)  # other processes are using the server
                return
            elif locks.is_free(process):
                return
            time.sleep(0.005)


@functools.cache
def get_server(data_dir: Path) -> Server:
    """Return the server of `data_dir`, running or not. Repeated calls return the same object."""
    return Server(data_dir)
