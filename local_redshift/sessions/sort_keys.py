"""Sort keys and ANALYZE statistics.

A cluster's zone map has the minimum and maximum value in each 1 MB block, so that a query for a range of sort key
values skips blocks outside that range. The stand-in uses a BRIN index, which does the same for each 1 MB of a table.
https://docs.aws.amazon.com/redshift/latest/dg/t_Sorting_data.html
"""

import json

from local_redshift.sessions.backend import Backend
from local_redshift.sql import quote

# https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html: the threshold is a percentage of the table's rows
THRESHOLD = "local_redshift.analyze_threshold_percent"
DEFAULT_THRESHOLD = 10

_ZONE_MAPS = """
SELECT indexrelid::regclass::text
FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_catalog.pg_am ON pg_am.oid = relam
WHERE amname = 'brin' AND indrelid = $1::text::regclass
"""

# Sort key columns that BRIN can index. BRIN does not support BOOLEAN, and rejects rows if a column's minimum and
# maximum do not fit in an 8 KB page.
_SORTABLE = """
SELECT attname
FROM pg_catalog.pg_attribute
JOIN json_array_elements_text($2) WITH ORDINALITY AS given (name, place) ON name = attname
WHERE attrelid = $1::text::regclass
    AND atttypid NOT IN ('boolean'::regtype, 'bytea'::regtype, 'text'::regtype)
    AND (atttypid NOT IN ('varchar'::regtype, 'bpchar'::regtype) OR atttypmod BETWEEN 5 AND 504)
ORDER BY place
"""

# Number of rows written to the table since the counters were reset, including rolled-back rows. A crash resets the
# counters.
_CHANGES = """
SELECT
    pg_stat_get_tuples_inserted(oid) + pg_stat_get_xact_tuples_inserted(oid)
        + pg_stat_get_tuples_updated(oid) + pg_stat_get_xact_tuples_updated(oid)
        + pg_stat_get_tuples_deleted(oid) + pg_stat_get_xact_tuples_deleted(oid) AS changes,
    oid AS tbl,
    reltuples
FROM pg_catalog.pg_class
WHERE oid = $1::text::regclass
"""

_IS_DUE = f"""
SELECT
    reltuples <= 0
    OR now.changes < before.changes
    OR now.changes - before.changes
        >= reltuples * coalesce(nullif(current_setting('{THRESHOLD}', true), ''), '{DEFAULT_THRESHOLD}')::float / 100
FROM ({_CHANGES}) AS now
JOIN local_redshift.analyzed AS before USING (tbl)
"""

_NOTE = f"""
INSERT INTO local_redshift.analyzed (tbl, changes)
SELECT tbl, changes FROM ({_CHANGES}) AS now
ON CONFLICT (tbl) DO UPDATE SET changes = excluded.changes
"""


def make_zone_map(backend: Backend, table: str, sort_key: list[str]) -> None:
    """Create the zone map of a table's sort key, replacing an older one."""
    for (old,) in backend.prepared_query(_ZONE_MAPS, table):
        backend.query(f"DROP INDEX {old}")
    names = [quote(str(name)) for (name,) in backend.prepared_query(_SORTABLE, table, json.dumps(sort_key))]
    if names:
        backend.query(f"CREATE INDEX ON {table} USING brin ({', '.join(names)})")


def is_analyze_due(backend: Backend, table: str) -> bool:
    """Update a table's zone map; return whether ANALYZE has to compute statistics.

    The table can be skipped if less than analyze_threshold_percent of it has changed since the last ANALYZE.
    """
    for (zone_map,) in backend.prepared_query(_ZONE_MAPS, table):
        backend.prepared_query("SELECT brin_summarize_new_values($1::text::regclass)", zone_map)
    return backend.prepared_query(_IS_DUE, table) != [["f"]]


def note_analyzed(backend: Backend, table: str) -> None:
    """Record that a table's statistics are up to date."""
    backend.prepared_query(_NOTE, table)
