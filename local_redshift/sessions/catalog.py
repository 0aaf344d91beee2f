"""Catalog lookups that use a session's transaction, temporary tables and search_path."""

import functools

from local_redshift.sessions.backend import Backend
from local_redshift.sql import Columns, ColumnType, quote

_COLUMNS = """
SELECT attname, typname, atttypmod
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
_IS_VIEW = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass($1) AND relkind = 'v')"
_LATE_BINDING_VIEWS = """
SELECT nspname, relname, query, pg_table_is_visible(view)
FROM local_redshift.late_binding_views
JOIN pg_catalog.pg_class ON pg_class.oid = view
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
"""


class SessionCatalog:
    """Implements `Catalog` for one statement of a session."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.has_read_late_binding_view = False

    @functools.cached_property
    def database(self) -> str:
        """The name of the database."""
        return str(self._backend.prepared_query("SELECT current_database()")[0][0])

    def columns(self, schema: str, table: str) -> Columns | None:
        """Return the columns of a table or view; None if it does not exist."""
        found = self._backend.prepared_query(_COLUMNS, qualified(schema, table))
        return {str(name): _column_type(str(kind), int(str(modifier))) for name, kind, modifier in found} or None

    def is_view(self, schema: str, name: str) -> bool:
        """Tell whether a view has this name."""
        return self._backend.prepared_query(_IS_VIEW, qualified(schema, name)) == [["t"]]

    @property
    def has_late_binding_views(self) -> bool:
        """Whether there are views WITH NO SCHEMA BINDING."""
        return bool(self._late_binding_views)

    def late_binding_view(self, schema: str, view: str) -> str | None:
        """Return the query of a view WITH NO SCHEMA BINDING; None if it does not exist."""
        found = self._late_binding_views.get((schema, view))
        self.has_read_late_binding_view = self.has_read_late_binding_view or found is not None
        return found

    def late_binding_views(self) -> list[tuple[str, str]]:
        """Return the schema and name of each view WITH NO SCHEMA BINDING."""
        return [(schema, view) for schema, view in self._late_binding_views if schema]

    @functools.cached_property
    def _late_binding_views(self) -> dict[tuple[str, str], str]:
        views = {}
        for schema, name, query, is_visible in self._backend.prepared_query(_LATE_BINDING_VIEWS):
            views[str(schema), str(name)] = str(query)
            if is_visible == "t":
                views["", str(name)] = str(query)
        return views


def qualified(schema: str, name: str) -> str:
    """Return a quoted name for SQL, with the schema if there is one."""
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def _column_type(name: str, modifier: int) -> ColumnType:
    if name == "numeric" and modifier >= 4:
        return ColumnType(name, (modifier - 4) >> 16, (modifier - 4) & 0x7FF)
    return ColumnType(name)
