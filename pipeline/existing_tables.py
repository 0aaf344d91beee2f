"""Which of the tables that create_tables.py drops are there, and how many rows they hold."""

import re
from typing import NamedTuple

from psycopg2.extensions import AsIs

from pipeline.errors import PipelineError
from pipeline.progress import said_if_slow
from pipeline.session import Session
from sql_queries import chosen_schema, drop_table_queries, existing_table, table_count, tables_lock

_NAME = r'"?\w+"?(?:\."?\w+"?)?'
_DROPPED = re.compile(
    rf"\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?({_NAME}(?:\s*,\s*{_NAME})*)(?:\s+(?:CASCADE|RESTRICT))?[\s;]*",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*")


class TableName(NamedTuple):
    """A table as a DROP TABLE names it; the schema is empty where it names none."""

    schema: str
    table: str
    written: str


def dropped_tables() -> list[TableName]:
    """The tables that `drop_table_queries` drop, in their order.

    Raise PipelineError for a query that names them otherwise than DROP TABLE does: what is not understood would be
    dropped without a question.
    """
    names = []
    for query in drop_table_queries:
        listed = _DROPPED.fullmatch(_COMMENT.sub("", query))
        if listed is None:
            raise PipelineError(f"drop_table_queries in sql_queries.py: not one DROP TABLE: {' '.join(query.split())}")
        for written in listed[1].split(","):
            # names are folded, also in quotes. https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
            schema, _, table = written.strip().replace('"', "").lower().rpartition(".")
            names.append(TableName(schema, table, written.strip()))
    return names


def rows_at_stake(session: Session) -> dict[str, int]:
    """How many rows each of the tables holds that are there; no reader or load has to wait for that."""
    with said_if_slow("the count of the rows (a load that is under way has to end first)"):
        counts = _counts(session)
    session.rollback()
    return counts


def lock_and_count(session: Session) -> dict[str, int]:
    """Lock the tables that are there, and then count their rows: nobody can add any before the transaction ends.

    A transaction sees what there was at its first query, for which LOCK does not count: so it goes first.
    https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
    """
    found = existing(session)
    session.rollback()
    if found:
        with said_if_slow("a load or a reader to finish"):
            session.execute(tables_lock, {"tables": AsIs(", ".join(found))})
    return _counts(session)


def existing(session: Session) -> list[str]:
    """Those of the tables that are there, as they are written."""
    return [name.written for name in dropped_tables() if session.rows(existing_table, name._asdict())]


def _counts(session: Session) -> dict[str, int]:
    return {name: session.rows(table_count, {"table": AsIs(name)})[0][0] for name in existing(session)}


def location_of(session: Session) -> str:
    """Where the tables are: database, schema and warehouse."""
    [(schema,)] = session.rows(chosen_schema)
    session.rollback()
    return f"{session.settings.database}.{schema} on {session.settings.place}"
