"""Install, start and stop the embedded PostgreSQL of a data directory."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from local_redshift.errors import ServerError
from local_redshift.program import environment_without_aws
from local_redshift.server.accounts import as_account, check_owner, let_account_reach, make_private_dir, server_account
from local_redshift.server.installation import ADMIN, binaries, detached, install
from local_redshift.server.settings import SETTINGS
from local_redshift.sessions.backend import Backend, BackendError, BackendLost

START_SECONDS = 60
SESSION_SECONDS = 20  # maximum wait for a session while the server recovers from a crash
STOP_SECONDS = 60  # a shutdown writes all dirty pages to disk; one that takes longer than this counts as stuck
CANNOT_CONNECT_NOW = "57P03"  # an SQLSTATE
IN_USE = "is still in use"  # PostgreSQL logs this if children of a killed server are still running
PORT = 5432  # part of the socket's name
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 103  # bytes; the lowest limit of any supported system (macOS)


class Postgres:
    """The PostgreSQL server whose data is in `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.pgdata = data_dir / "data"
        self.log = data_dir / "server.log"
        self.socket_dir = socket_dir(self.pgdata)
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self.is_stopping = False

    def session(self, parameters: Mapping[str, str]) -> Backend:
        """Open a session, starting PostgreSQL if it is not running.

        Raise BackendError if PostgreSQL refuses the session, or ServerError if PostgreSQL can't be started.
        """
        deadline = time.monotonic() + SESSION_SECONDS
        while True:
            try:
                return Backend(self.socket_dir / SOCKET_NAME, parameters)
            except BackendLost as lost:
                if not self.start() and time.monotonic() > deadline:
                    raise ServerError(f"the local server does not accept connections: {lost}") from lost
            except BackendError as error:
                if error.fields.get("C") != CANNOT_CONNECT_NOW or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)  # PostgreSQL is still recovering from a crash

    def admin(self, database: str) -> Backend:
        """Open a session as the superuser."""
        return self.session({"user": ADMIN, "database": database})

    def start(self) -> bool:
        """Start PostgreSQL; return False if it was already running. Raise ServerError if it can't be started."""
        with self._starting:
            if self.is_stopping:
                raise ServerError("the local server is stopping")
            if self._accepts():
                return False
            deadline = time.monotonic() + START_SECONDS
            while not self._start_once(deadline):
                time.sleep(0.05)
            return True

    def _accepts(self) -> bool:
        if not (self.socket_dir / SOCKET_NAME).exists():
            return False
        try:
            Backend(self.socket_dir / SOCKET_NAME, {"user": ADMIN, "database": "postgres"}).close()
        except BackendError as error:
            # any other error, such as "too many sessions", means that the server is running
            return error.fields.get("C") != CANNOT_CONNECT_NOW
        except BackendLost:
            return False
        return True

    def _start_once(self, deadline: float) -> bool:
        """Start PostgreSQL unless it is running; return False if the caller should retry.

        A retry is needed while another server on the same data is starting, recovering or shutting down.
        """
        if server_pid(self.pgdata) is not None and time.monotonic() < deadline:
            return self._accepts()
        install(self.data_dir, self.pgdata)
        account = server_account()
        check_owner(self.pgdata, account)
        let_account_reach(account, self.data_dir, binaries())
        make_private_dir(self.socket_dir, account)
        self._clear_left_overs()
        settings = SETTINGS | {"port": str(PORT), "unix_socket_directories": _quoted(self.socket_dir)}
        command = [str(binaries() / "postgres"), "-D", str(self.pgdata)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command, **detached(), **as_account(account), env=environment_without_aws(), stdout=log, stderr=log
            )
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                if IN_USE in self.log.read_text(errors="replace") and time.monotonic() < deadline:
                    return False
                raise ServerError(self._start_failure())
            time.sleep(0.005)
        return True

    def _clear_left_overs(self) -> None:
        """Keep PostgreSQL from mistaking a killed server for a running one.

        PostgreSQL does not start if another program now has the process id that is in postmaster.pid. So replace it
        with the id of this process, which PostgreSQL ignores as that of its parent. Keep the rest of the file: it tells
        PostgreSQL whether children of the killed server are still running.
        """
        pid_file = self.pgdata / "postmaster.pid"
        if server_pid(self.pgdata) is None:
            if self._process is not None:
                self._process.wait()  # a zombie still counts as running
            (self.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
            if pid_file.exists():
                rest = pid_file.read_text().split("\n")[1:]
                pid_file.write_text("\n".join([str(os.getpid()), *rest]))

    def _start_failure(self) -> str:
        last = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        return "\n".join(
            [f"the local server did not start on {self.pgdata}; last lines of {self.log}:", *last]
            + ["Nothing in that folder was changed. To continue without it, set another DATA_DIR in the config file."]
        )


def socket_dir(pgdata: Path) -> Path:
    """Return the socket folder: `pgdata`, unless its path is too long or has a comma."""
    # PostgreSQL and its clients split the path at commas
    if len(os.fsencode(pgdata / SOCKET_NAME)) <= SOCKET_PATH_LIMIT and "," not in str(pgdata):
        return pgdata
    import hashlib  # imported here: slow, and rarely needed

    name = hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:16]
    # /tmp rather than TMPDIR, because all processes that use the server must get the same folder
    return Path("/tmp") / f"local_redshift-{os.getuid()}-{name}"


def _quoted(folder: Path) -> str:
    escaped = str(folder).replace('"', '""')
    return f'"{escaped}"'


def server_pid(pgdata: Path) -> int | None:
    """Return the process id of the server on `pgdata`, or None if none is running.

    `postmaster.pid` remains when a server is killed, and another process may get the same id. So the command line of
    that process must name `pgdata`.
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


def stop(pgdata: Path) -> None:
    """Stop the server on `pgdata`, if one is running.

    This ends all sessions, so call it only if nobody uses the server.
    """
    pid = server_pid(pgdata)
    if pid is None:
        return
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast shutdown"
        while server_pid(pgdata) == pid:
            if time.monotonic() > deadline:
                # stop at once, without a checkpoint: the next start recovers from the WAL
                os.kill(pid, signal.SIGQUIT)
                return
            time.sleep(0.005)
