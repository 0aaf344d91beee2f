"""Connect to the stand-in: start the process that serves a data directory, if need be, and use psycopg2 as it is."""

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

from local_redshift.door.protocol import PORT, REQUEST, SOCKET_NAME
from local_redshift.errors import LocalRedshiftError, ServerError
from local_redshift.program import HANDOVER, Program
from local_redshift.server import locks
from local_redshift.server.installation import detached
from local_redshift.server.postgres import START_SECONDS, socket_dir, stop
from local_redshift.server.process import LOG, READY

if TYPE_CHECKING:
    from psycopg2 import extensions

TRIES = 3  # of a request, while a server that was killed goes
STOP_SECONDS = 2  # as long as a script waits, at its end, for its server to stop
ROOT = Path(__file__).resolve().parent.parent

# The process finds the packages that this one finds, without a look for them (-S), which takes time.
_START = "import json, sys; sys.path = json.loads(sys.argv[1]); from local_redshift.server.process import main; "
_START += "main(sys.argv[2])"


def connect(data_dir: str | Path, dbname: str = "dev", user: str = "awsuser") -> "extensions.connection":
    """Open a connection to the local warehouse in `data_dir`, which is made and started if need be.

    Database and user are made, too, the user as the cluster's admin. The server runs until the last process that
    connected to it is gone. COPY reads with the AWS settings of this program and, by relative paths, from its folder.
    Raise ServerError if the server can't be started, psycopg2.ProgrammingError for a name that it refuses.
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
        hostaddr="",  # whatever PGHOSTADDR says
        port=PORT,
        user=user,
        dbname=dbname,
        client_encoding="UTF8",
        application_name="local_redshift",
    )
    hand_over(connection)
    return connection


def hand_over(connection: "extensions.connection") -> None:
    """Tell the server the AWS settings and the folder of this program, outside of any transaction."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"{HANDOVER} %s", [Program.this().as_json()])
    connection.autocommit = False


def _library_path() -> list[str]:
    """Return where this process finds its packages, without the folder of its script, whose modules are nobody's."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    packages = ("site-packages", "dist-packages")
    libraries = [
        folder
        for n, folder in enumerate(sys.path)
        if any(name in folder for name in packages) or (n > 0 and folder.startswith(prefixes))
    ]
    return [*libraries, str(ROOT)]


class Server:
    """The process that serves `data_dir`; use `get_server` to get the one of this process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.socket_dir = socket_dir(data_dir / "data")
        self._users_lock: int | None = None

    def acquire(self) -> None:
        """Keep the server running until `release`, or until this process ends; start it if it does not run."""
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
        """Lock a file of DATA_DIR, which is made if it does not exist. Raise ServerError if it can't be used."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            return locks.lock(self.data_dir / name, mode)
        except OSError as error:
            raise ServerError(f"DATA_DIR {self.data_dir} can't be used: {error.strerror}") from error

    def request(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Ask the server, which is started again if it is gone; return its answer. Raise ServerError if that fails."""
        problem: Exception | None = None
        for _ in range(TRIES):
            try:
                with self.ask(asked) as (_, answer):
                    return answer
            except (OSError, json.JSONDecodeError) as error:  # it was killed just now
                problem = error
                self.acquire()
        raise ServerError(f"the local server on {self.data_dir} does not answer: {problem}") from problem

    @contextlib.contextmanager
    def ask(self, asked: dict[str, Any]) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
        """Ask the server; yield the connection, which is what some requests last for, and the answer."""
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
            # one that is starting, by the process of somebody who is gone, is waited for
            if locks.is_free(self.data_dir / locks.DOOR):
                command = [sys.executable, "-S", "-c", _START, json.dumps(_library_path()), str(self.data_dir)]
                started = subprocess.run(command, **detached(), stdout=subprocess.PIPE, check=False)
                said = started.stdout.decode(errors="replace").strip()
                tries += said == ""  # it was killed
                if said not in ("", READY) or tries >= TRIES:
                    raise ServerError(said or f"the local server did not start; see {self.data_dir / LOG}")
            elif time.monotonic() > deadline:
                raise ServerError(f"the local server on {self.data_dir} does not answer; see {self.data_dir / LOG}")
            time.sleep(0.01)

    def release(self) -> None:
        """Let go of the server; the last process to do so waits, at most STOP_SECONDS, until it has stopped."""
        if self._users_lock is None:
            return
        atexit.unregister(self.release)
        os.close(self._users_lock)
        self._users_lock = None
        with contextlib.suppress(OSError):  # the folder may be gone, and the server with it
            self._await_stop()

    def _await_stop(self) -> None:
        users, door = self.data_dir / locks.USERS, self.data_dir / locks.DOOR
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            alone = locks.try_lock(users, locks.EXCLUSIVE)
            if alone is not None:
                if locks.is_free(door):  # its process was killed, and PostgreSQL is left
                    stop(self.data_dir / "data")
                    os.close(alone)
                    return
                os.close(alone)  # the server's process wants it
            elif (shared := locks.try_lock(users, locks.SHARED)) is not None:
                os.close(shared)  # others use it
                return
            elif locks.is_free(door):
                return
            time.sleep(0.005)


@functools.cache
def get_server(data_dir: Path) -> Server:
    """Return the server of `data_dir`, not yet started. One object per process and directory."""
    return Server(data_dir)
