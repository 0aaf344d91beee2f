"""Run utility statements, which have no parameters or result rows.

Effects that they have on Redshift but not on PostgreSQL are added here.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_redshift.errors import NoSuchColumn, NotSupported, RedshiftError, SyntaxRefused
from local_redshift.program import HANDOVER, Program
from local_redshift.sessions import declarations, dependencies, late_binding, sort_keys
from local_redshift.sessions.backend import BackendLost
from local_redshift.sessions.catalog import SessionCatalog
from local_redshift.sql import (
    Attributes,
    Token,
    altered_table,
    analyzed_table,
    attributes,
    code,
    created_table,
    like_table,
    quote,
    split_name,
    text,
    translate,
)

if TYPE_CHECKING:
    from local_redshift.sessions.session import Session

ENDS_TRANSACTION = ("COMMIT", "END", "ROLLBACK", "ABORT")
QUERIES = "SELECT WITH ( INSERT UPDATE DELETE MERGE EXPLAIN DECLARE FETCH SHOW".split()
_KINDS = ("TABLE", "VIEW", "SCHEMA", "DATABASE", "USER", "GROUP", "ROLE")

_IS_LOCKED = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE pid = pg_backend_pid()
        AND mode = 'AccessExclusiveLock'
        AND granted
        AND relation = to_regclass($1)
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
)
"""
_HAS_CONSTRAINT = "SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2"


def is_utility(statement: list[Token]) -> bool:
    """Tell whether `run` handles the statement: all but queries and DML, and also DELETE without WHERE."""
    tokens = code(statement)
    return tokens[0].word not in QUERIES or _is_delete_of_all(tokens)


def run(session: "Session", statement: list[Token]) -> str:
    """Run a statement; return its command tag.

    Raise RedshiftError if the stand-in refuses it, BackendError if PostgreSQL does.
    """
    words = [token.word for token in code(statement)]
    rule = _RULES.get(" ".join(words[:2])) or _RULES.get(words[0], _run)
    return rule(session, statement)


def _run(session: "Session", statement: list[Token]) -> str:
    translated = translate(statement, SessionCatalog(session.backend), autocommit=session.is_alone)
    tag = session.backend.run(translated).tag
    words = [token.word for token in code(statement)[:2]]
    if words[0] in ("DROP", "ALTER") and words[1:] in (["DATABASE"], ["USER"]):
        session.on_names_changed()
    return _redshift_tag(code(statement), tag)


def _redshift_tag(tokens: list[Token], tag: str) -> str:
    """Map PostgreSQL's command tag to Redshift's, such as CREATE ROLE to CREATE USER."""
    words = [token.word for token in tokens[:5]]
    if words[0] == "CREATE" and tag.startswith("SELECT"):
        return "SELECT"  # the tag of CREATE TABLE AS has no row count, as in PostgreSQL 8.0
    kind = next((word for word in words[1:] if word in _KINDS), None)
    if words[0] in ("CREATE", "ALTER", "DROP") and kind is not None and words[1] != "DEFAULT":
        return f"{words[0]} {kind}"
    return words[0] if tag.startswith("SELECT") else tag


def _copy(session: "Session", statement: list[Token]) -> str:
    from local_redshift.copy import run_copy  # imported here: sessions without a COPY do not need it

    words = [token.word for token in code(statement)]
    if {"STDIN", "STDOUT"} & set(words):
        raise NotSupported("Redshift has no COPY FROM STDIN and no COPY TO")
    try:
        run_copy(session, statement)
    except BackendLost as lost:
        if lost.backend is session.backend:
            raise
        session.forget_system()
        raise RedshiftError(f"COPY can't write to the system tables: {lost}") from lost
    return "COPY"


def _set(session: "Session", statement: list[Token]) -> str:
    tokens = code(statement)
    if text(tokens[1:4]) != "local_redshift.program":
        return _run(session, statement)
    if not session.is_private:
        raise NotSupported(
            "clients on 127.0.0.1 can't set local_redshift.program: "
            "COPY uses the environment of `python -m local_redshift`"
        )
    try:
        session.program = Program.from_json(tokens[5].value)
    except (IndexError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise SyntaxRefused(f"{HANDOVER}: JSON is expected") from error
    return "SET"


def _is_delete_of_all(tokens: list[Token]) -> bool:
    return len(tokens) == 3 and [token.word for token in tokens[:2]] == ["DELETE", "FROM"]


def _delete(session: "Session", statement: list[Token]) -> str:
    """Delete all rows of a table; use TRUNCATE if this session holds an exclusive lock on it.

    PostgreSQL's TRUNCATE can be rolled back, leaves no dead rows, and lets later loads in the same transaction bypass
    the WAL.
    """
    table = quote(code(statement)[2].name)
    if session.backend.prepared_query(_IS_LOCKED, table) != [["t"]]:
        return _run(session, statement)
    session.backend.run(f"TRUNCATE {table}")
    return "DELETE"  # no row count, because TRUNCATE does not count rows


def _truncate(session: "Session", statement: list[Token]) -> str:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html: TRUNCATE commits the transaction
    tag = _run(session, statement)
    if not session.is_alone:
        session.backend.query("COMMIT")
    return tag


def _analyze(session: "Session", statement: list[Token]) -> str:
    table = analyzed_table(statement)
    translated = translate(statement, SessionCatalog(session.backend))
    if table and not sort_keys.is_analyze_due(session.backend, table):
        return "ANALYZE"
    session.backend.run(translated)
    if table:
        sort_keys.note_analyzed(session.backend, table)
    return "ANALYZE"


def _create(session: "Session", statement: list[Token]) -> str:
    words = [token.word for token in code(statement)]
    if "VIEW" in words[1:4]:
        late_binding.make_way(session.backend, statement)
        tag = _run(session, statement)
        late_binding.note(session.backend, statement)
        return tag
    if "TABLE" not in words[1:4]:
        return _run(session, statement)
    table = created_table(statement)
    given = attributes(statement)
    is_there = "EXISTS" in words[:6] and session.backend.query("SELECT to_regclass($1)", table) != [[None]]
    tag = _run(session, statement)
    if is_there:
        return tag  # IF NOT EXISTS: the table already existed
    if tag == "SELECT":
        _check_columns(session, table, given)
    _note_declarations(session, table, statement, given)
    if tag == "SELECT":
        # https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html: CREATE TABLE AS also runs ANALYZE
        session.backend.run(f"ANALYZE {table}")
    return tag


def _check_columns(session: "Session", table: str, given: Attributes) -> None:
    """Raise NoSuchColumn if a DISTKEY or SORTKEY column is not in the query's result."""
    columns = SessionCatalog(session.backend).columns(*split_name(table)) or {}
    for column in [*(given.sort_key or []), *filter(None, [given.distkey])]:
        if column not in columns:
            raise NoSuchColumn(f'column "{column}" named in key does not exist')


def _note_declarations(session: "Session", table: str, statement: list[Token], given: Attributes) -> None:
    if given.sort_key is not None:
        sort_keys.make_zone_map(session.backend, table, given.sort_key)
    declarations.note_attributes(session.backend, table, given)
    parent = like_table(statement)
    if parent:
        sort_key = declarations.inherit(session.backend, table, parent)
        sort_keys.make_zone_map(session.backend, table, sort_key)
    declarations.note_keys(session.backend, table, statement)


def _alter_table(session: "Session", statement: list[Token]) -> str:
    words = [token.word for token in code(statement)]
    table = altered_table(statement)
    given = attributes(statement)
    tag = _run(session, statement)
    if "RENAME" in words and "COLUMN" in words:
        _rename_limit(session, table, *[token.name for token in code(statement)[-3::2]])
    if words[3:4] == ["DROP"] or words[5:6] == ["DROP"]:
        declarations.forget_dropped_columns(session.backend)
    if "CONSTRAINT" in words and "DROP" in words:
        declarations.forget_key(session.backend, table, statement)
    elif words[3:4] == ["ADD"] or words[5:6] == ["ADD"] or "ALTER" in words[3:6]:
        _note_declarations(session, table, statement, given)
    return tag


def _rename_limit(session: "Session", table: str, old: str, new: str) -> None:
    """Rename a column's byte-limit constraint, which is named after the column."""
    limits = [f"{name}_bytes" for name in (old, new)]
    if session.backend.query(_HAS_CONSTRAINT, table, limits[0]):
        session.backend.query(f"ALTER TABLE {table} RENAME CONSTRAINT {quote(limits[0])} TO {quote(limits[1])}")


def _drop_table(session: "Session", statement: list[Token]) -> str:
    dependencies.check_drop(session.backend, statement)
    return _run(session, statement)


def _deallocate(session: "Session", statement: list[Token]) -> str:
    # drivers also DEALLOCATE statements that were prepared through the protocol: queries are prepared in PostgreSQL,
    # other statements in this session
    names = [token.name for token in code(statement)[1:] if token.word != "PREPARE"]
    if names == ["all"] or code(statement)[0].word == "DISCARD":
        session.forget_prepared()
    elif session.forget_prepared(*names[:1]):
        return "DEALLOCATE"
    return session.backend.run(text(statement)).tag


_RULES: dict[str, Callable[["Session", list[Token]], str]] = {
    "COPY": _copy,
    "SET": _set,
    "DELETE": _delete,
    "TRUNCATE": _truncate,
    "ANALYZE": _analyze,
    "CREATE": _create,
    "ALTER TABLE": _alter_table,
    "DROP TABLE": _drop_table,
    "DEALLOCATE": _deallocate,
    "DISCARD": _deallocate,
}
