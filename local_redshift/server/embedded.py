"""The embedded PostgreSQL server: installed on first use, started on demand, one per data directory."""

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from psycopg2 import extensions

from local_redshift.errors import ServerError
from local_redshift.server import keeper
from local_redshift.server.accounts import as_account, check_owner, let_account_reach, make_private_dir, server_account
from local_redshift.server.installation import ADMIN, binaries, detached, install
from local_redshift.server.settings import SETTINGS

START_SECONDS = 60
STOP_SECONDS = 2  # as long as a script waits, at its end, for its server to stop
IN_USE = "is still in use"  # in PostgreSQL's message when children of a killed server still run
PORT = 5432  # of the socket's name
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 103  # bytes, of the shortest limit among the systems we run on (macOS)


class EmbeddedServer:
    """The server whose data live in `data_dir`; use `get_server` to have one running."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.pgdata = data_dir / "data"
        self.log = data_dir / "server.log"
        self.socket_dir = _socket_dir(self.pgdata)
        # for libpq, whatever PGPORT and PGHOSTADDR say
        self.address = extensions.make_dsn(host=str(self.socket_dir), hostaddr="", port=PORT)
        self._users_lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None  # where this process started it
        self._keeper: subprocess.Popen[bytes] | None = None

    def connect_as_admin(self, dbname: str) -> extensions.connection:
        """Open a plain connection of the superuser, in autocommit; the server must be running."""
        connection = psycopg2.connect(self.address, user=ADMIN, dbname=dbname)
        connection.autocommit = True
        return connection

    def acquire(self) -> None:
        """Have the server running until `release`, or until this process is gone."""
        if self._users_lock is None:
            try:
                self.data_dir.mkdir(parents=True, exist_ok=True)
                self._users_lock = keeper.lock(self.data_dir / "users.lock", fcntl.LOCK_SH)
            except OSError as error:
                raise ServerError(f"DATA_DIR {self.data_dir} can't be used: {error.strerror}") from error
            atexit.register(self.release)
        with self.start_lock():
            self._start_keeper()
            if not self._accepts():
                install(self.data_dir, self.pgdata)
                self._start()

    def release(self) -> None:
        """Let go of the server; the last process to do so stops it and waits, at most STOP_SECONDS, for that."""
        if self._users_lock is None:
            return
        atexit.unregister(self.release)
        os.close(self._users_lock)
        self._users_lock = None
        gone = False
        with contextlib.suppress(OSError):  # the folder may be gone, and the server with it
            gone = not self._others_use_it()
        for child in (self._process, self._keeper):
            if child is not None and gone:
                child.wait()
            elif child is not None and child.poll() is None:
                child.returncode = 0  # it outlives us on purpose: no warning about that at exit

    def _others_use_it(self) -> bool:
        """Whether others, or the keeper, still see to the server; it is stopped when this says no."""
        users_lock = self.data_dir / "users.lock"
        if (alone := keeper.try_lock(users_lock, fcntl.LOCK_EX)) is not None:
            # what is left to write to the disk after a large load is left to the keeper
            stopped = keeper.stop(self.pgdata, STOP_SECONDS)
            os.close(alone)
            return not stopped
        if (shared := keeper.try_lock(users_lock, fcntl.LOCK_SH)) is not None:
            os.close(shared)
            return True
        # the keeper was quicker and is stopping it
        os.close(keeper.lock(self.data_dir / "keeper.lock", fcntl.LOCK_SH))
        return False

    @contextlib.contextmanager
    def start_lock(self) -> Iterator[None]:
        """Be the only process that installs, starts or sets up this server."""
        fd = keeper.lock(self.data_dir / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    def _start_keeper(self) -> None:
        # before the server: from here on it can't be left behind
        free = keeper.try_lock(self.data_dir / "keeper.lock", fcntl.LOCK_EX)
        if free is None:
            return
        os.close(free)
        # -I -S: nothing of the user's Python environment is wanted, and it starts in half the time
        command = [sys.executable, "-I", "-S", keeper.__file__, str(self.data_dir)]
        self._keeper = subprocess.Popen(command, **detached(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _accepts(self) -> bool:
        if not (self.socket_dir / SOCKET_NAME).exists():
            return False
        try:
            self.connect_as_admin("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._start_once(deadline):
            time.sleep(0.05)

    def _start_once(self, deadline: float) -> bool:
        """Start the server; False where one that is ending, or the children of one, have to go first."""
        if keeper.server_pid(self.pgdata) is not None and time.monotonic() < deadline:
            return self._accepts()
        account = server_account()
        check_owner(self.pgdata, account)
        let_account_reach(account, self.data_dir, binaries())
        make_private_dir(self.socket_dir, account)
        self._clear_left_overs()
        settings = SETTINGS | {"port": str(PORT), "unix_socket_directories": _quoted(self.socket_dir)}
        command = [str(binaries() / "postgres"), "-D", str(self.pgdata)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(command, **detached(), **as_account(account), stdout=log, stderr=log)
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                if IN_USE in self.log.read_text(errors="replace") and time.monotonic() < deadline:
                    return False
                raise ServerError(self._start_failure())
            time.sleep(0.005)
        return True

    def _clear_left_overs(self) -> None:
        """Keep what a killed server left behind from being taken for a running one.

        PostgreSQL sees to that itself, unless the number of the old process is by now another program's:
        then ours is written in its place, which it knows to be no server. The rest of postmaster.pid must
        stay: it tells PostgreSQL whether old children still write to the data.
        """
        pid_file = self.pgdata / "postmaster.pid"
        if keeper.server_pid(self.pgdata) is None:
            if self._process is not None:
                self._process.wait()  # a child nobody waited for still counts as alive
            (self.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
            if pid_file.exists():
                rest = pid_file.read_text().split("\n")[1:]
                pid_file.write_text("\n".join([str(os.getpid()), *rest]))

    def _start_failure(self) -> str:
        last = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        return "\n".join(
            [f"the local server did not start on {self.pgdata}; the end of {self.log}:", *last]
            + ["Nothing in that folder was changed. To go on without it, name another DATA_DIR in the config file."]
        )


@functools.cache
def get_server(data_dir: Path) -> EmbeddedServer:
    """The server of `data_dir`, not yet started. One object per process and directory."""
    return EmbeddedServer(data_dir)


def _socket_dir(pgdata: Path) -> Path:
    # both ends take a list of folders between commas
    if len(os.fsencode(pgdata / SOCKET_NAME)) <= SOCKET_PATH_LIMIT and "," not in str(pgdata):
        return pgdata
    name = hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:16]
    # not the folder that TMPDIR names: all processes that use the server have to find the same one
    return Path("/tmp") / f"local_redshift-{os.getuid()}-{name}"


def _quoted(folder: Path) -> str:
    escaped = str(folder).replace('"', '""')
    return f'"{escaped}"'
