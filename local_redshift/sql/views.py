"""CREATE VIEW, also WITH NO SCHEMA BINDING.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html
"""

from local_redshift.errors import SyntaxRefused, not_imitated
from local_redshift.sql import grammar, refusals
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.queries import translate_query
from local_redshift.sql.tokens import Token, code, name_text, text

_NO_SCHEMA_BINDING = ["WITH", "NO", "SCHEMA", "BINDING"]


def create_view(statement: list[Token], catalog: Catalog) -> str:
    """Translate CREATE [OR REPLACE] VIEW name [(columns)] AS query."""
    start = next((i for i, token in enumerate(statement) if token.word == "AS"), None)
    if start is None:
        raise SyntaxRefused("CREATE VIEW needs AS and a query")
    head, query = statement[:start], statement[start + 1 :]
    if late_binding(statement):
        return _note_late_binding_view(code(head), _without_binding(query))
    columns = " ".join(name_text(token) for token in code(head))
    return f"{columns} AS {translate_query(query, catalog)}"


def late_binding(statement: list[Token]) -> bool:
    """Tell whether a statement creates a late-binding view."""
    return [token.word for token in code(statement)[-4:]] == _NO_SCHEMA_BINDING


def _without_binding(query: list[Token]) -> str:
    places = [i for i, token in enumerate(query) if token.kind != "space"]
    return text(query[: places[-4]])


def _note_late_binding_view(head: list[Token], query: str) -> str:
    """Store the query without checking the names in it: that is done when the view is read."""
    refusals.check(list(grammar.parse(query).walk()))
    at = next(i for i, token in enumerate(head) if token.word == "VIEW") + 1
    names = head[at:]
    if any(token.word == "(" for token in names):
        raise not_imitated("columns of a view WITH NO SCHEMA BINDING")
    if len(names) < 3 or names[-2].word != ".":
        # seen: a late-binding view has to be named with its schema only where the tables are; the view itself need not
        schema = "current_schema()"
    else:
        schema = f"'{names[-3].name}'"
    written = query.replace("'", "''").replace("\\", "\\\\")
    # CREATE OR REPLACE and CREATE alike: there is one of a name
    return (
        "INSERT INTO local_redshift.late_binding_views (schema_name, view_name, query) "
        f"VALUES ({schema}, '{names[-1].name}', '{written}') "
        "ON CONFLICT (schema_name, view_name) DO UPDATE SET query = excluded.query"
    )
