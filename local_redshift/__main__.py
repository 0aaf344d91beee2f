"""Open psql on the local warehouse: python -m local_redshift [--data-dir DIR] [-d NAME] [-c SQL] ...

What -c gives may be Redshift's SQL (but COPY); what is typed in psql itself goes to PostgreSQL as it is,
with Redshift's functions and system tables in reach. All other options are psql's.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from local_redshift.connection import databases
from local_redshift.errors import LocalRedshiftError, RedshiftError
from local_redshift.server import ADMIN, binaries, get_server
from local_redshift.sql import code, statements, translate


def main() -> int:
    """Run psql and return its exit status; 1 with a message where it can't be run."""
    parser = argparse.ArgumentParser(prog="python -m local_redshift", description=__doc__)
    parser.add_argument("--data-dir", default=".local_redshift", help="default: %(default)s")
    parser.add_argument("-d", "--dbname", help="default: the one there is")
    parser.add_argument("-c", "--command", action="append", default=[], help="run this and exit")
    arguments, psql_options = parser.parse_known_args()
    try:
        commands = [_postgres_sql(command) for command in arguments.command]
        return _psql(Path(arguments.data_dir).resolve(), arguments.dbname, commands, psql_options)
    except (LocalRedshiftError, RedshiftError) as error:
        print(f"local_redshift: {error}", file=sys.stderr)
        return 1


def _postgres_sql(command: str) -> str:
    if command.lstrip().startswith("\\"):
        return command  # psql's own, as \d
    listed = list(statements(command))
    if any(code(statement)[0].word == "COPY" for statement in listed):
        raise RedshiftError("COPY runs through local_redshift.connect() only")
    return ";\n".join(translate(statement, autocommit=True) for statement in listed)


def _psql(data_dir: Path, dbname: str | None, commands: list[str], options: list[str]) -> int:
    if not (data_dir / "data").exists():
        raise LocalRedshiftError(f"there is no local warehouse in {data_dir}; name it with --data-dir")
    server = get_server(data_dir)
    server.acquire()
    if dbname is None:
        found = databases(server)
        if len(found) != 1:
            raise LocalRedshiftError(f"{data_dir} has the databases {', '.join(found)}: name one with -d")
        dbname = found[0]
    command = [str(binaries() / "psql"), "-h", str(server.socket_dir), "-U", ADMIN, "-d", dbname]
    command += [part for sql in commands for part in ("-c", sql)]
    # Ctrl-C is psql's while it runs: it cancels the query
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.run(command + options, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
