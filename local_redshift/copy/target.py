"""Target table and columns of a COPY.

https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-column-mapping.html
"""

from dataclasses import dataclass

from local_redshift import messages
from local_redshift.copy.statement import CopyStatement
from local_redshift.errors import NoSuchColumn, RedshiftError
from local_redshift.sessions.backend import Backend
from local_redshift.sql import MAX_VARBYTE, MAX_VARCHAR, quote

_FIND_COLUMNS = """
SELECT
    a.attrelid, a.attname, t.typname, a.atttypmod, a.attnotnull, a.attidentity,
    (
        SELECT substring(pg_catalog.pg_get_constraintdef(oid) FROM '<= ([0-9]+)') FROM pg_catalog.pg_constraint
        WHERE conrelid = a.attrelid AND contype = 'c' AND conkey = ARRAY[a.attnum]
    ) AS most_bytes
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Column:
    """A column filled by a COPY. `type` is PostgreSQL's internal type name; `length` is in bytes."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    not_null: bool = False

    @property
    def shown_type(self) -> str:
        """The type as stl_load_errors shows it, before truncation to 10 characters."""
        return {"bpchar": "char", "jsonb": "super", "bytea": "varbyte"}.get(self.type, self.type)

    @property
    def shown_length(self) -> str:
        """The length, such as "256", "0" or "18, 0", as stl_load_errors shows it on a cluster."""
        return f"{self.precision}, {self.scale}" if self.type == "numeric" else str(self.length)


@dataclass(frozen=True)
class TargetTable:
    """The table to load: oid, quoted name, and columns in the order of the data."""

    table_id: int
    sql_name: str
    columns: tuple[Column, ...]


def find_table(backend: Backend, copy: CopyStatement) -> TargetTable:
    """Look up the table on the server.

    Raise RedshiftError if the table does not exist, NoSuchColumn if a column does not.
    """
    sql_name = quote(copy.table) if copy.schema is None else f"{quote(copy.schema)}.{quote(copy.table)}"
    found = [
        ["" if value is None else value for value in row] for row in backend.prepared_query(_FIND_COLUMNS, sql_name)
    ]
    if not found:
        raise RedshiftError(messages.NO_TABLE.format(table=copy.table))
    all_columns = {
        name: (_column(name, sql_type, int(modifier), not_null == "t", most_bytes), identity)
        for _, name, sql_type, modifier, not_null, identity, most_bytes in found
    }
    return TargetTable(int(found[0][0]), sql_name, tuple(_filled(all_columns, copy)))


def _filled(all_columns: dict[str, tuple[Column, str]], copy: CopyStatement) -> list[Column]:
    """Return the columns to fill: those listed, or all except IDENTITY columns (with EXPLICIT_IDS, all)."""
    identities = {name for name, (_, identity) in all_columns.items() if identity}
    listed = copy.columns or [name for name in all_columns if copy.explicit_ids or name not in identities]
    for name in listed:
        if name not in all_columns:
            raise NoSuchColumn(f'column "{name}" of relation "{copy.table}" does not exist')
        if all_columns[name][1] == "a" and not copy.explicit_ids:
            raise RedshiftError(f"COPY: {name} is an IDENTITY column: add EXPLICIT_IDS to load its values")
    if copy.explicit_ids and not identities & set(listed):
        raise RedshiftError("COPY: EXPLICIT_IDS needs an IDENTITY column among those loaded")
    return [all_columns[name][0] for name in listed]


def _column(name: str, sql_type: str, modifier: int, not_null: bool, most_bytes: str) -> Column:
    if sql_type == "text":  # only CREATE TABLE AS creates columns of PostgreSQL's type text
        return Column(name, "varchar", MAX_VARCHAR, not_null=not_null)
    if sql_type in ("varchar", "bpchar"):
        length = modifier - 4 if modifier > 0 else MAX_VARCHAR
        return Column(name, sql_type, length, not_null=not_null)
    if sql_type == "bytea":  # the column's length is in a CHECK constraint, which CREATE TABLE AS does not add
        return Column(name, sql_type, int(most_bytes or MAX_VARBYTE), not_null=not_null)
    if sql_type == "numeric":
        packed = modifier - 4 if modifier > 0 else (38 << 16) | 18
        return Column(name, sql_type, 0, packed >> 16, packed & 0x7FF, not_null)
    return Column(name, sql_type, not_null=not_null)
