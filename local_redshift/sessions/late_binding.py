"""Late-binding views (WITH NO SCHEMA BINDING), which look up tables when read.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html

PostgreSQL stores each as a view without columns, so listing, renaming, dropping and GRANT work as for any other view.
The query of a late-binding view is stored separately, and replaces the view in statements that read it (sql/names.py).
"""

import json

from local_redshift.errors import RedshiftError
from local_redshift.sessions.backend import Backend
from local_redshift.sessions.catalog import SessionCatalog
from local_redshift.sql import (
    Token,
    code_indices,
    created_view,
    is_late_binding,
    late_binding_query,
    quote,
    text,
    tokenize,
    translate,
)

_DESCRIBED = "pg_get_late_binding_view_cols"

_FORGET = "DELETE FROM local_redshift.late_binding_views WHERE view = to_regclass($1)"
_NOTE = """
INSERT INTO local_redshift.late_binding_views (view, query, definition)
VALUES (to_regclass($1), $2, $3)
"""
_IS_BOUND_VIEW = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class
    WHERE pg_class.oid = to_regclass($1) AND relkind = 'v' AND relnatts > 0
)
"""


def make_way(backend: Backend, statement: list[Token]) -> None:
    """Drop an ordinary view before CREATE OR REPLACE makes it late-binding."""
    view = created_view(statement)
    words = [token.word for token in statement if token.kind != "space"]
    if is_late_binding(statement) and "REPLACE" in words[:3] and backend.query(_IS_BOUND_VIEW, view) == [["t"]]:
        backend.query(f"DROP VIEW {view}")


def note(backend: Backend, statement: list[Token]) -> None:
    """Delete any query stored for a view; if it is late-binding, store the new query."""
    view = created_view(statement)
    backend.query(_FORGET, view)
    if is_late_binding(statement):
        backend.query(_NOTE, view, late_binding_query(statement), text(statement).strip())


def with_described_views(statement: list[Token], catalog: SessionCatalog) -> list[Token]:
    """Pass late-binding views' translated queries to PG_GET_LATE_BINDING_VIEW_COLS."""
    indices = code_indices(statement)
    for n, index in enumerate(indices[:-2]):
        name = statement[index].name.removeprefix("local_redshift.")
        if name == _DESCRIBED and [statement[p].word for p in indices[n + 1 : n + 3]] == ["(", ")"]:
            told = "'" + json.dumps(_translated(catalog)).replace("\\", "\\\\").replace("'", "''") + "'"
            call = Token("word", f"local_redshift.{_DESCRIBED}({told})")
            return [*statement[:index], call, *statement[indices[n + 2] + 1 :]]
    return statement


def _translated(catalog: SessionCatalog) -> list[dict[str, str]]:
    found = []
    for schema, view in catalog.late_binding_views():
        query = tokenize(f"SELECT * FROM {quote(schema)}.{quote(view)}")
        try:
            found.append({"schema": schema, "view": view, "query": translate(query, catalog)})
        except RedshiftError:  # the view's tables are missing or have changed, so it has no columns to show
            continue
    return found
