"""Query a local warehouse with psql, or let other clients connect. The SQL dialect is Redshift's.

    python -m local_redshift [--config dwh.cfg | --data-dir FOLDER] [psql's options]
    python -m local_redshift [--config dwh.cfg | --data-dir FOLDER] serve [--port 5439]

Run it in the project folder. COPY uses the AWS settings of the current shell.
"""

import argparse
import contextlib
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from local_redshift.client import Server, connect, get_server
from local_redshift.errors import LocalRedshiftError
from local_redshift.program import Program
from local_redshift.server.installation import ADMIN, binaries
from local_redshift.sessions.protocol import ADDRESS, PORT
from local_redshift.sql import quote as quote_name
from storage.local_files import user_path

PASSWORD_FILE = "serve.password"


class Warehouse(NamedTuple):
    """A local warehouse: folder, database, user, schema and password."""

    data_dir: Path
    database: str | None
    user: str
    schema: str = ""
    password: str = ""


def main() -> int:
    """Run psql or the server; return the exit status: 1 after a LocalRedshiftError."""
    parser = argparse.ArgumentParser(
        prog="python -m local_redshift", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="the warehouse's config file")
    parser.add_argument(
        "--data-dir",
        default=".local_redshift",
        help="the warehouse's folder, if --config is not given; default: %(default)s",
    )
    parser.add_argument(
        "-d", "--dbname", help="the database; default: the one in the config, or the warehouse's only database"
    )
    parser.add_argument("--port", type=int, default=PORT, help="for serve; default: %(default)s")
    arguments, rest = parser.parse_known_args()
    try:
        warehouse = _warehouse(arguments)
        if rest[:1] == ["serve"]:
            return _serve(warehouse, arguments.port)
        return _psql(warehouse, rest)
    except LocalRedshiftError as error:
        print(f"local_redshift: {error}", file=sys.stderr)
        return 1


def _warehouse(arguments: argparse.Namespace) -> Warehouse:
    if arguments.config is None:
        return Warehouse(user_path(arguments.data_dir).resolve(), arguments.dbname, ADMIN)
    # imported here: only --config needs the pipeline's modules
    from pipeline.errors import PipelineError
    from pipeline.settings import read_settings

    try:
        settings = read_settings(arguments.config)
    except PipelineError as error:
        raise LocalRedshiftError(str(error)) from None
    if not settings.is_local:
        raise LocalRedshiftError(
            f"{settings.path}: [CLUSTER] HOST is {settings.host}, not local: "
            "connect to the cluster with your own SQL client"
        )
    database = arguments.dbname or settings.database
    return Warehouse(settings.data_dir.resolve(), database, settings.user, settings.schema, settings.password or "")


def _opened(warehouse: Warehouse) -> tuple[Server, str]:
    """Start the server of an existing warehouse; return it and the database name."""
    data_dir, database, user, *_ = warehouse
    if not (data_dir / "data").exists():
        raise LocalRedshiftError(
            f"there is no local warehouse in {data_dir}; "
            "name its config file with --config or its folder with --data-dir"
        )
    server = get_server(data_dir)
    server.acquire()
    found = server.request({"databases": None})["databases"]
    if database is None and not found:
        raise LocalRedshiftError(f"{data_dir} has no database yet; run create_tables.py")
    if database is None and len(found) != 1:
        raise LocalRedshiftError(f"{data_dir} has the databases {', '.join(found)}: name one with -d")
    if database is not None and database not in found:
        raise LocalRedshiftError(f"{data_dir} has no database {database}; run create_tables.py")
    database = database or found[0]
    connect(data_dir, database, user).close()  # connecting updates the stand-in's catalog in this database
    return server, database


def _serve(warehouse: Warehouse, port: int) -> int:
    """Accept clients until Ctrl-C or SIGTERM, then ignore both signals."""
    # A signal writes to the pipe, which ends select(). With only a Python handler, a signal just before select() would
    # go unnoticed.
    stopping, stop = os.pipe()
    os.set_blocking(stop, False)
    signal.set_wakeup_fd(stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server, database = _opened(warehouse)
    with _listening(server, warehouse, database, kept_password(warehouse), port) as (connection, port, password):
        user, secret, name = (quote(part, safe="") for part in (warehouse.user, password, database))
        place = f"{user}:{secret}@{ADDRESS}:{port}/{name}"
        print(
            f"serving     postgresql://{place}\n"
            f"SQLAlchemy  postgresql+psycopg2://{place}\n"
            f"JDBC        jdbc:postgresql://{ADDRESS}:{port}/{quote(database)}\n"
            "Press Ctrl-C to stop.",
            flush=True,
        )
        if stopping not in select.select([stopping, connection.fileno()], [], [])[0]:
            raise LocalRedshiftError("the local server has ended")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # unlike a Python handler, SIG_IGN stays in effect while Python exits
    print("stopped", flush=True)
    return 0


@contextlib.contextmanager
def _listening(
    server: Server, warehouse: Warehouse, database: str, password: str, port: int
) -> Iterator[tuple[socket.socket, int, str]]:
    """Make the server listen on 127.0.0.1 during the `with` block. Sessions use this program's AWS settings."""
    asked = {"listen": port, "user": warehouse.user, "database": database, "password": password}
    with server.ask(asked | {"program": Program.this().as_json()}) as (connection, answer):
        if "refused" in answer:
            raise LocalRedshiftError(f"port {port} can't be used: {answer['refused']}; name another with --port")
        yield connection, answer["port"], password


def kept_password(warehouse: Warehouse) -> str:
    """Return DB_PASSWORD, or a generated password stored in the warehouse's folder.

    The generated password never changes, so connections saved in clients keep working. Raise LocalRedshiftError if the
    password can't be stored.
    """
    if warehouse.password:
        return warehouse.password
    path = warehouse.data_dir / PASSWORD_FILE
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        if not path.exists():
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(12))
            with contextlib.suppress(FileExistsError):  # another `serve` process has just created the file
                os.link(unfinished, path)
            unfinished.unlink()
        password = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise LocalRedshiftError(f"can't save the password of `serve` in {path}: {error.strerror}") from error
    if not password:
        raise LocalRedshiftError(f"{path} is empty: delete it, and the next `serve` generates a password")
    return password


def _psql(warehouse: Warehouse, options: list[str]) -> int:
    server, database = _opened(warehouse)
    # ignore Ctrl-C here: psql uses it to cancel the query
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _listening(server, warehouse, database, secrets.token_urlsafe(12), port=0) as (_, port, password):
        command = [str(binaries() / "psql"), "-h", ADDRESS, "-p", str(port), "-U", warehouse.user, "-d", database]
        environment = {**os.environ, "PGPASSWORD": password}
        if warehouse.schema:
            # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS: escape blanks
            escaped = re.sub(r"([ \\])", r"\\\1", f"{quote_name(warehouse.schema)},local_redshift,pg_catalog")
            environment["PGOPTIONS"] = f"-c search_path={escaped}"
        return subprocess.run(command + options, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
