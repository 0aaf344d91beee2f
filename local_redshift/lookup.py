"""What a translation has to know of the server: the columns of tables, and the views that are bound late."""

import functools

from psycopg2 import extensions

from local_redshift.sql import Columns, ColumnType, quote

_COLUMNS = """
SELECT attname, typname, atttypmod
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
_IS_VIEW = "SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass(%s) AND relkind = 'v'"
_LATE_BINDING_VIEWS = """
SELECT schema_name, view_name, query, schema_name = current_schema()
FROM local_redshift.late_binding_views
"""


class ServerCatalog:
    """The catalog that a connection sees, asked at most once for each thing: it is good for one statement."""

    def __init__(self, cursor: extensions.cursor) -> None:
        self._cursor = cursor

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._cursor.connection.info.dbname

    def columns(self, schema: str, table: str) -> Columns | None:
        """The columns of a table or view; None where there is none."""
        self._cursor.execute(_COLUMNS, [qualified(schema, table)])
        return {name: _column_type(kind, modifier) for name, kind, modifier in self._cursor.fetchall()} or None

    def is_view(self, schema: str, name: str) -> bool:
        """Whether the name is that of a view."""
        self._cursor.execute(_IS_VIEW, [qualified(schema, name)])
        return self._cursor.rowcount > 0

    @property
    def has_late_binding_views(self) -> bool:
        """Whether there are views made WITH NO SCHEMA BINDING."""
        return bool(self._late_binding_views)

    def late_binding_view(self, schema: str, view: str) -> str | None:
        """The query of a view made WITH NO SCHEMA BINDING; None where there is none."""
        return self._late_binding_views.get((schema, view))

    @functools.cached_property
    def _late_binding_views(self) -> dict[tuple[str, str], str]:
        self._cursor.execute(_LATE_BINDING_VIEWS)
        views = {}
        for schema, name, query, is_current in self._cursor.fetchall():
            views[schema, name] = query
            if is_current:
                views["", name] = query
        return views


def qualified(schema: str, name: str) -> str:
    """The name of a table as SQL."""
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def _column_type(name: str, modifier: int) -> ColumnType:
    if name == "numeric" and modifier >= 4:
        return ColumnType(name, (modifier - 4) >> 16, (modifier - 4) & 0x7FF)
    return ColumnType(name)
