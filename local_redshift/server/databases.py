"""Create the users and databases of a data directory, with Redshift's catalog."""

import contextlib

from local_redshift.errors import ServerError
from local_redshift.server import system_tables
from local_redshift.server.installation import ADMIN
from local_redshift.server.postgres import Postgres
from local_redshift.sessions.backend import BackendError
from local_redshift.sql import quote

# A lock that lets only one process at a time install the catalog in a database. If that process is killed, its
# PostgreSQL session holds the lock until the running statement has finished.
_ALONE = "SELECT pg_advisory_lock(hashtext('local_redshift'))"
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000)
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
MAX_NAME = 63  # bytes; PostgreSQL would truncate a longer name
_LIST = "SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"


def end_left_over_sessions(postgres: Postgres) -> None:
    """End the PostgreSQL sessions that a killed process left open."""
    with contextlib.closing(postgres.admin("postgres")) as admin:
        admin.query(_END_OTHERS)


def make_database(postgres: Postgres, name: str, user: str) -> None:
    """Create the user, the database and Redshift's catalog in it, if they are missing.

    Raise BackendError for a name that PostgreSQL refuses.
    """
    for given in (name, user):
        if len(given.encode()) > MAX_NAME:
            raise ServerError(f"the local stand-in does not support names longer than {MAX_NAME} bytes: {given}")
    if _is_made(postgres, name, user):
        return
    with contextlib.closing(postgres.admin("postgres")) as admin:
        admin.query(_ALONE)
        if not admin.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", user):
            admin.query(f"CREATE ROLE {quote(user)} SUPERUSER LOGIN")
        if not admin.query("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", name):
            install_catalog(postgres, "template1")  # CREATE DATABASE copies template1
            admin.query(f"CREATE DATABASE {quote(name)} OWNER {ADMIN}")
    install_catalog(postgres, name)


def _is_made(postgres: Postgres, name: str, user: str) -> bool:
    """Return whether the user, the database and an up-to-date catalog exist."""
    try:
        with contextlib.closing(postgres.admin(name)) as admin:
            is_current = admin.query(system_tables.FIND_VERSION) == [[system_tables.VERSION]]
            return is_current and bool(admin.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", user))
    except BackendError:  # the database does not exist
        return False


def install_catalog(postgres: Postgres, database: str) -> None:
    """Install Redshift's catalog in a database, or update it."""
    with contextlib.closing(postgres.admin(database)) as admin:
        admin.query(_ALONE)
        if admin.query(system_tables.FIND_VERSION) != [[system_tables.VERSION]]:
            admin.script("".join(["BEGIN;", *system_tables.INSTALL, ";COMMIT"]))


def list_databases(postgres: Postgres) -> list[str]:
    """Return the names of all databases except PostgreSQL's own."""
    with contextlib.closing(postgres.admin("postgres")) as admin:
        return [str(name) for (name,) in admin.query(_LIST)]
