"""Store unenforced keys, distribution styles, sort keys and encodings.

PostgreSQL's own catalog does not hold them, so they are in tables that the stand-in's catalog views read
(server/functions/pg_catalog.sql).
"""

import json

from local_redshift.errors import RedshiftError
from local_redshift.sessions.backend import Backend
from local_redshift.sessions.catalog import qualified
from local_redshift.sql import FOREIGN, Attributes, Token, code, keys, split_name

# values of pg_class.reldiststyle: https://docs.aws.amazon.com/redshift/latest/dg/c_choosing_dist_sort.html
DIST_STYLES = {"EVEN": 0, "KEY": 1, "ALL": 8, "AUTO": 11}

_NOTE_KEY = """
INSERT INTO local_redshift.keys (tbl, name, kind, columns, parent, parent_columns)
SELECT
    to_regclass($1)::oid,
    $2::text,
    $3::text::"char",
    local_redshift.column_numbers(to_regclass($1)::oid, $4),
    to_regclass($5)::oid,
    CASE WHEN $5 <> '' THEN local_redshift.column_numbers(to_regclass($5)::oid, $6) END
"""
_FORGET_KEY = "DELETE FROM local_redshift.keys WHERE tbl = to_regclass($1) AND name = $2::text RETURNING name"
_HAS_KEY = """
SELECT kind = 'p' AND $2::text = 'p'
FROM local_redshift.keys
WHERE tbl = to_regclass($1) AND (name = $3::text OR (kind = 'p' AND $2::text = 'p'))
"""
_FORGET_DROPPED = """
DELETE FROM local_redshift.keys
WHERE EXISTS (
    SELECT FROM pg_catalog.pg_attribute
    WHERE attisdropped AND (
        (attrelid = tbl AND attnum = ANY (columns)) OR (attrelid = parent AND attnum = ANY (parent_columns))
    )
)
"""
_INHERIT_STYLE = """
INSERT INTO local_redshift.table_attributes (tbl, diststyle)
SELECT to_regclass($1)::oid, diststyle FROM local_redshift.table_attributes WHERE tbl = to_regclass($2)
ON CONFLICT (tbl) DO NOTHING
"""
_INHERIT_COLUMNS = """
INSERT INTO local_redshift.column_attributes (tbl, attnum, encoding, is_distkey, sortkeyord)
SELECT own.attrelid, own.attnum, encoding, is_distkey, sortkeyord
FROM local_redshift.column_attributes AS given
JOIN pg_catalog.pg_attribute AS theirs ON theirs.attrelid = tbl AND theirs.attnum = given.attnum
JOIN pg_catalog.pg_attribute AS own USING (attname)
WHERE tbl = to_regclass($2) AND own.attrelid = to_regclass($1)
ON CONFLICT (tbl, attnum) DO NOTHING
"""
_SORT_KEY = """
SELECT attname
FROM local_redshift.column_attributes
JOIN pg_catalog.pg_attribute ON attrelid = tbl AND pg_attribute.attnum = column_attributes.attnum
WHERE tbl = to_regclass($1) AND sortkeyord <> 0
ORDER BY abs(sortkeyord)
"""
_NOTE_STYLE = """
INSERT INTO local_redshift.table_attributes (tbl, diststyle)
VALUES (to_regclass($1)::oid, $2)
ON CONFLICT (tbl) DO UPDATE SET diststyle = excluded.diststyle
"""
_FORGET_COLUMNS = """
UPDATE local_redshift.column_attributes
SET
    is_distkey = is_distkey AND NOT $2::text::boolean,
    sortkeyord = CASE WHEN $3::text::boolean THEN 0 ELSE sortkeyord END
WHERE tbl = to_regclass($1)
"""
_NOTE_COLUMNS = """
INSERT INTO local_redshift.column_attributes (tbl, attnum, encoding, is_distkey, sortkeyord)
SELECT attrelid, attnum, encoding, is_distkey, sortkeyord
FROM json_to_recordset($2) AS columns (name text, encoding text, is_distkey boolean, sortkeyord integer)
JOIN pg_catalog.pg_attribute ON attname = name
WHERE attrelid = to_regclass($1)
ON CONFLICT (tbl, attnum) DO UPDATE SET
    encoding = coalesce(excluded.encoding, column_attributes.encoding),
    is_distkey = excluded.is_distkey OR column_attributes.is_distkey,
    sortkeyord = CASE WHEN excluded.sortkeyord <> 0 THEN excluded.sortkeyord ELSE column_attributes.sortkeyord END
"""


def note_attributes(backend: Backend, table: str, attributes: Attributes) -> None:
    """Store the attributes that a statement has declared for a table."""
    if attributes.diststyle is not None:
        backend.prepared_query(_NOTE_STYLE, table, DIST_STYLES[attributes.diststyle])
    if attributes.diststyle is not None or attributes.sort_key is not None:
        backend.prepared_query(
            _FORGET_COLUMNS, table, attributes.diststyle is not None, attributes.sort_key is not None
        )
    order = {name: n for n, name in enumerate(attributes.sort_key or [], start=1)}
    if attributes.is_interleaved:  # sort key positions alternate in sign (1, -2, 3), as seen on a cluster
        order = {name: n if n % 2 else -n for name, n in order.items()}
    names = {*order, *attributes.encodings, *filter(None, [attributes.distkey])}
    columns = [
        {
            "name": name,
            "encoding": attributes.encodings.get(name),
            "is_distkey": name == attributes.distkey,
            "sortkeyord": order.get(name, 0),
        }
        for name in sorted(names)
    ]
    if columns:
        backend.prepared_query(_NOTE_COLUMNS, table, json.dumps(columns))


def note_keys(backend: Backend, table: str, statement: list[Token]) -> None:
    """Store the keys that a statement has declared for a table."""
    for key in keys(statement):
        parent = qualified(key.schema, key.table) if key.kind == FOREIGN else ""
        name = key.name_in(split_name(table)[1])
        existing = backend.prepared_query(_HAS_KEY, table, key.kind, name)
        if ["t"] in existing:
            raise RedshiftError(f'multiple primary keys for table "{split_name(table)[1]}" are not allowed')
        if existing:
            raise RedshiftError(f'constraint "{name}" for relation "{split_name(table)[1]}" already exists')
        columns, parent_columns = json.dumps(key.columns), json.dumps(key.parent_columns)
        backend.prepared_query(_NOTE_KEY, table, name, key.kind, columns, parent, parent_columns)


def forget_key(backend: Backend, table: str, statement: list[Token]) -> None:
    """Delete the key named in an ALTER TABLE ... DROP CONSTRAINT."""
    tokens = code(statement)
    at = [token.word for token in tokens].index("CONSTRAINT") + 1
    if at < len(tokens) and not backend.prepared_query(_FORGET_KEY, table, tokens[at].name):
        raise RedshiftError(f'constraint "{tokens[at].name}" of relation "{split_name(table)[1]}" does not exist')


def forget_dropped_columns(backend: Backend) -> None:
    """Delete the keys that use a dropped column."""
    backend.prepared_query(_FORGET_DROPPED)


def inherit(backend: Backend, table: str, parent: str) -> list[str]:
    """Copy `parent`'s attributes to `table`, which was created with LIKE; return its sort key.

    https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html: LIKE copies the
    distribution and the sort key, but no key constraints.
    """
    backend.prepared_query(_INHERIT_STYLE, table, parent)
    backend.prepared_query(_INHERIT_COLUMNS, table, parent)
    return [str(name) for (name,) in backend.prepared_query(_SORT_KEY, table)]
