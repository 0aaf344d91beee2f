"""What the tests share: where things are, lines of logs, songs, and a warehouse to run the scripts on."""

import codecs
import contextlib
import fcntl
import io
import itertools
import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2.extensions import adapt

import common
import create_tables
import etl
from local_redshift.client import get_server
from local_redshift.server import locks, postgres
from local_redshift.server.installation import ADMIN
from pipeline.errors import PipelineError
from pipeline.run_log import RunLog
from pipeline.session import Run, Session
from pipeline.settings import read_settings
from pipeline.summary import Summary

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = ROOT.parent / "shared" / "real_data"
REAL_LOAD_ERRORS = ROOT.parent / "shared" / "real_load_errors.csv"
STAR = ("songplays", "users", "songs", "artists", "time")
TABLES = ("staging_events", "staging_songs", *STAR, "loaded_files")

needs_real_data = pytest.mark.skipif(not REAL_DATA.exists(), reason="the real data are not here")

EVENT = {
    "artist": "Band",
    "auth": "Logged In",
    "firstName": "Ada",
    "gender": "F",
    "itemInSession": 0,
    "lastName": "Berg",
    "length": 200.5,
    "level": "free",
    "location": "Lansing, MI",
    "method": "PUT",
    "page": "NextSong",
    "registration": 1540000000000.0,
    "sessionId": 1,
    "song": "Song",
    "status": 200,
    "ts": 1541105830796,
    "userAgent": "Mozilla",
    "userId": "7",
}
SONG = {
    "num_songs": 1,
    "artist_id": "AR1",
    "artist_latitude": 45.5,
    "artist_longitude": -122.5,
    "artist_location": "Portland, OR",
    "artist_name": "Band",
    "song_id": "SO1",
    "title": "Song",
    "duration": 200.5,
    "year": 1999,
}


_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?:  |$)", re.MULTILINE)


def unstamped(said: str) -> str:
    """What a script said, without the time before each line and without the first line, which says what goes where."""
    return _FIRST_LINE.sub("", _STAMP.sub("", said), count=1)


_FIRST_LINE = re.compile(r"\A.* \(user \S*\)\n")


def event(**changes: object) -> dict:
    """One line of a log."""
    return EVENT | changes


def song(**changes: object) -> dict:
    """One song file."""
    return SONG | changes


database_numbers = itertools.count()


class Warehouse:
    """A config file with its source files, and the scripts run on it as processes."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder = folder
        self.config = folder / "dwh.cfg"
        self.data_dir = data_dir
        self.environment: dict[str, str] = {}
        self.is_verbose = False  # what -v says to a script
        self.values = {
            ("CLUSTER", "HOST"): "local",
            ("CLUSTER", "DB_NAME"): f"test{next(database_numbers)}",
            ("CLUSTER", "DB_USER"): "dwhuser",
            ("CLUSTER", "DATA_DIR"): str(data_dir),
            ("IAM_ROLE", "ARN"): "arn:aws:iam::123456789012:role/dwhRole",
            ("S3", "LOG_DATA"): "log-data",
            ("S3", "LOG_JSONPATH"): str(ROOT / "sample_data" / "log_json_path.json"),
            ("S3", "SONG_DATA"): "song-data",
        }
        self.configure({})

    def configure(self, changes: dict[tuple[str, str], str | None]) -> None:
        """Write the config file with these values changed, or left out where they are None."""
        self.values |= changes
        sections: dict[str, list[str]] = {}
        for (section, key), value in self.values.items():
            if value is not None:
                sections.setdefault(section, []).append(f"{key} = {value}")
        self.config.write_text("".join(f"[{s}]\n" + "\n".join(v) + "\n" for s, v in sections.items()))

    def use(self, source: Path | str) -> None:
        """Read the logs and songs of a folder in the layout of the sample data."""
        self.configure({("S3", "LOG_DATA"): f"{source}/log-data", ("S3", "SONG_DATA"): f"{source}/song-data"})

    def write_log(self, events: list[dict], name: str = "2018-11-01") -> Path:
        """Write a log file."""
        path = self.folder / "log-data" / f"{name}-events.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in events))
        return path

    def write_songs(self, songs: list[dict]) -> None:
        """Write the song files, in the place of those there are."""
        folder = self.folder / "song-data"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for number, one in enumerate(songs):
            (folder / f"TR{number:04}.json").write_text(json.dumps(one))

    def write_song_file(self, songs: list[dict]) -> None:
        """Write songs to one file, in the place of those there are: many small files would take long."""
        self.write_songs([])
        (self.folder / "song-data" / "all.json").write_text("".join(json.dumps(one) + "\n" for one in songs))

    def run(
        self, script: str, *arguments: str, code: int | None = 0, answer: str | None = None
    ) -> subprocess.CompletedProcess:
        """Run a script to its end, without a terminal, and check its exit status."""
        command = [sys.executable, str(ROOT / script), "--config", str(self.config), *arguments]
        result = subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=120,
            **({"stdin": subprocess.DEVNULL} if answer is None else {"input": answer}),
        )
        assert code is None or result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        result.stdout, result.stderr = unstamped(result.stdout), unstamped(result.stderr)
        return result

    def create_tables(self) -> None:
        """Create the tables by the script's own function: a process for each test would take long."""
        with contextlib.redirect_stdout(io.StringIO()), self.session() as session:
            create_tables.create_tables(session, yes=True)

    def empty(self) -> None:
        """Empty the tables, which is quicker than to make them anew; songplay_id goes on counting."""
        self.queries(*(f"DELETE FROM {table}" for table in TABLES))

    def session(self, *, needs_source: bool = False) -> Session:
        """A session as the scripts have it."""
        settings = read_settings(self.config, needs_source=needs_source)
        return Session(common.connect(settings), settings, Run(log=RunLog(is_verbose=self.is_verbose)))

    def load(self, mode: str = "", **options: bool) -> Summary:
        """Load, or do what another mode of etl.py does, by the script's own functions, in this process."""
        with self.session(needs_source=True) as session:
            if mode:
                etl.MODES[mode][0](session)
            else:
                etl.load(session, **options)
            return session.run.log.summary

    def output(self, mode: str = "", **options: bool) -> str:
        """Load as `load` does; return what it printed."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.load(mode, **options)
        return said.getvalue()

    def failing_output(self, mode: str = "", **options: bool) -> str:
        """Return the output of a load that fails, with the error message at the end."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), pytest.raises(PipelineError) as raised:
            self.load(mode, **options)
        return f"{said.getvalue()}{raised.value}\n"

    def refusal(self) -> str:
        """The message of a load that fails, by the script's own function, in this process."""
        with pytest.raises(PipelineError) as raised:
            self.output()
        return f"{raised.value}\n"

    def etl(self, code: int = 0) -> subprocess.CompletedProcess:
        return self.run("etl.py", code=code)

    def connect(self) -> psycopg2.extensions.connection:
        return common.connect(self.config)

    def query(self, sql: str) -> list[tuple]:
        """The rows of a query, in a connection of its own."""
        return self.queries(sql)[0]

    def queries(self, *queries: str) -> list[list[tuple]]:
        """The rows of each of the queries, in one transaction of a connection of its own."""
        connection = self.connect()
        try:
            found = []
            for sql in queries:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    found.append(cursor.fetchall() if cursor.description else [])
            connection.commit()
            return found
        finally:
            connection.close()

    def counts(self) -> dict[str, int]:
        """The number of rows in each of the seven tables."""
        found = self.queries(*(f"SELECT COUNT(*) FROM {table}" for table in TABLES))
        return {table: rows[0][0] for table, rows in zip(TABLES, found, strict=True)}

    def star(self) -> dict[str, list[tuple]]:
        """All rows of the star schema, songplay_id aside."""
        columns = dict.fromkeys(STAR, "*")
        columns["songplays"] = (
            "start_time, user_id, level, song_id, artist_id, session_id, location, user_agent, "
            "item_in_session, song_title, artist_name, song_length"
        )
        found = self.queries(*(f"SELECT {columns[table]} FROM {table}" for table in STAR))
        return {table: sorted(rows, key=repr) for table, rows in zip(STAR, found, strict=True)}

    def everything(self) -> dict[str, list[tuple]]:
        """All rows of all tables, with songplay_id: what must not change when a load fails."""
        found = self.queries(*(f"SELECT * FROM {table}" for table in TABLES))
        return {table: sorted(rows, key=repr) for table, rows in zip(TABLES, found, strict=True)}


def plain_connection(data_dir: Path, dbname: str) -> psycopg2.extensions.connection:
    """Connect to PostgreSQL itself, in autocommit."""
    return _plain_connection(str(postgres.socket_dir(data_dir.resolve() / "data")), dbname)


def _plain_connection(folder: str, dbname: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(host=folder, hostaddr="", port=postgres.PORT, user=ADMIN, dbname=dbname)
    connection.autocommit = True
    return connection


@contextlib.contextmanager
def plain_cursor(connection: psycopg2.extensions.connection) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor on PostgreSQL itself, in autocommit. The connection is committed first, so that it sees all of it."""
    connection.commit()
    where = connection.get_dsn_parameters()
    plain = _plain_connection(where["host"], where["dbname"])
    try:
        with plain.cursor() as cursor:
            yield cursor
    finally:
        plain.close()


def raised(connection: psycopg2.extensions.connection, code: str, message: str, detail: str = "") -> psycopg2.Error:
    """An error of the driver as a server with these words raises it."""
    quoted = {"ERRCODE": code, "MESSAGE": message} | ({"DETAIL": detail} if detail else {})
    using = ", ".join(f"{name} = {adapt(value).getquoted().decode()}" for name, value in quoted.items())
    with pytest.raises(psycopg2.Error) as told, plain_cursor(connection) as cursor:
        cursor.execute(f"DO $do$ BEGIN RAISE EXCEPTION USING {using}; END $do$")
    return told.value


def run_as_admin(data_dir: Path, statement: str, dbname: str = "postgres") -> None:
    """Run a statement of the server's superuser, outside of any transaction."""
    with contextlib.closing(plain_connection(data_dir, dbname)) as admin, admin.cursor() as cursor:
        cursor.execute(statement)


def copy_database(data_dir: Path, template: str, name: str) -> None:
    """Make a database as another is, which takes less than to make one from nothing."""
    run_as_admin(data_dir, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


def copy_data_dir(data_dir: Path, copy: Path) -> Path:
    """Make a copy of a data directory, whose files may have another owner than we are; no server runs on either."""
    subprocess.run(["cp", "-pR", str(data_dir), str(copy)], check=True)
    return copy


def server_process(data_dir: Path) -> psutil.Process:
    """The process that serves a data directory."""
    served = str(data_dir.resolve())
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-1:] == [served] and "local_redshift.server.process" in " ".join(command):
            return process
    raise AssertionError(f"nobody serves {data_dir}")


def stop_server(data_dir: Path) -> None:
    """Let go of the server and wait until it is gone."""
    get_server(data_dir.resolve()).release()
    wait_until_stopped(data_dir)


def wait_until_stopped(data_dir: Path) -> None:
    """Wait, at most two minutes, until neither PostgreSQL nor the process that serves it is at the data any longer."""
    deadline = time.monotonic() + 120
    while postgres.server_pid(data_dir / "data") is not None or not locks.is_free(data_dir / locks.PROCESS):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def upload(bucket: object, folder: Path) -> None:
    """Put all files of the folder into the bucket, under their paths in it."""
    for path in sorted(folder.rglob("*.json")):
        bucket.upload_file(str(path), path.relative_to(folder).as_posix())


def take_terminal() -> None:
    """Make the terminal of this process the one whose Ctrl-C it gets."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def at_terminal(
    warehouse: Warehouse,
    answer: str,
    *arguments: str,
    before_answer: Callable[[], None] = lambda: None,
    script: str = "create_tables.py",
) -> tuple[int, str]:
    """Run a script at a terminal, answer what it asks; exit status and what was on the screen."""
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / script), "--config", str(warehouse.config), *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal)
    os.close(theirs)
    screen = ""
    decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character
    while True:
        try:
            data = os.read(ours, 1000)
        except OSError:  # how Linux says that the other end is closed
            break
        if not data:
            break
        read = decoder.decode(data)
        if "[y/N]" in read and answer:
            before_answer()
            os.write(ours, answer.encode())
        screen += read
    os.close(ours)
    return process.wait(), screen
