"""What a cluster knows of its tables beside their rows: zone maps of sort keys, and the statistics of ANALYZE.

A cluster keeps the least and the greatest value of each block of 1 MB, so that a query of a part of a sort key passes
over the other blocks. PostgreSQL's BRIN index is that, for ranges of 1 MB, too.
https://docs.aws.amazon.com/redshift/latest/dg/t_Sorting_data.html
"""

from typing import NamedTuple

from psycopg2 import extensions

from local_redshift.sql import Token, altered_table, created_table, sort_key

# https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html: in percent of the table's rows
THRESHOLD = "local_redshift.analyze_threshold_percent"
DEFAULT_THRESHOLD = 10

_ZONE_MAPS = """
SELECT indexrelid::regclass::text
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_am ON pg_am.oid = relam
WHERE amname = 'brin' AND indrelid = %s::regclass
"""

# types whose values have an order that BRIN keeps; BOOLEAN is the one that a sort key may have and BRIN lacks
_SORTABLE = """
SELECT attname
FROM pg_attribute
WHERE attrelid = %s::regclass AND attname = ANY(%s) AND atttypid <> 'boolean'::regtype
ORDER BY array_position(%s::name[], attname)
"""

# How many rows of the table have been written since the server began to count, those included that were rolled back. A
# crash of the server has it begin anew.
_CHANGES = """
SELECT
    pg_stat_get_tuples_inserted(oid) + pg_stat_get_xact_tuples_inserted(oid)
        + pg_stat_get_tuples_updated(oid) + pg_stat_get_xact_tuples_updated(oid)
        + pg_stat_get_tuples_deleted(oid) + pg_stat_get_xact_tuples_deleted(oid) AS changes,
    oid AS tbl,
    reltuples
FROM pg_class
WHERE oid = %(table)s::regclass
"""

_IS_DUE = f"""
SELECT
    reltuples <= 0
    OR now.changes < before.changes
    OR now.changes - before.changes
        >= reltuples * coalesce(nullif(current_setting(%(setting)s, true), ''), %(default)s)::float / 100
FROM ({_CHANGES}) AS now
JOIN local_redshift.analyzed AS before USING (tbl)
"""

_NOTE = f"""
INSERT INTO local_redshift.analyzed (tbl, changes)
SELECT tbl, changes FROM ({_CHANGES}) AS now
ON CONFLICT (tbl) DO UPDATE SET changes = excluded.changes
"""


class SortKey(NamedTuple):
    """The sort key that a statement gives a table; without columns where it takes it away."""

    table: str
    columns: list[str]


def new_sort_key(cursor: extensions.cursor, statement: list[Token]) -> SortKey | None:
    """What a statement that is about to run does about a sort key; None where it does nothing."""
    columns = sort_key(statement)
    if columns is None:
        return None
    altered = altered_table(statement)
    if not altered:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [created_table(statement)])
        if cursor.fetchall()[0][0]:
            return None  # CREATE TABLE IF NOT EXISTS, and it does
    return SortKey(altered or created_table(statement), columns)


def make_zone_map(cursor: extensions.cursor, sorting: SortKey) -> None:
    """Give a table the zone map of its sort key, in the place of an older one."""
    cursor.execute(_ZONE_MAPS, [sorting.table])
    for (old,) in cursor.fetchall():
        cursor.execute(f"DROP INDEX {old}")
    cursor.execute(_SORTABLE, [sorting.table, sorting.columns, sorting.columns])
    names = [extensions.quote_ident(name, cursor) for (name,) in cursor.fetchall()]
    if names:
        cursor.execute(f"CREATE INDEX ON {sorting.table} USING brin ({', '.join(names)})")


def is_analyze_due(cursor: extensions.cursor, table: str) -> bool:
    """Bring the zone map of a table up to date; whether an ANALYZE of it makes its statistics anew.

    It does not where less of the table than analyze_threshold_percent has changed since it last did.
    """
    cursor.execute(_ZONE_MAPS, [table])
    for (zone_map,) in cursor.fetchall():
        cursor.execute("SELECT brin_summarize_new_values(%s::regclass)", [zone_map])
    cursor.execute(_IS_DUE, {"table": table, "setting": THRESHOLD, "default": str(DEFAULT_THRESHOLD)})
    found = cursor.fetchone()
    return found is None or bool(found[0])


def note_analyzed(cursor: extensions.cursor, table: str) -> None:
    """Note that the statistics of a table are of now."""
    cursor.execute(_NOTE, {"table": table})
