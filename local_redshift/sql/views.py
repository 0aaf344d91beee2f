"""Translate CREATE VIEW, including WITH NO SCHEMA BINDING.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html
"""

from sqlglot import exp

from local_redshift.errors import RedshiftError, SyntaxRefused
from local_redshift.sql import grammar, refusals
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.dml import translate_query
from local_redshift.sql.relations import cte_named
from local_redshift.sql.system_queries import SYSTEM_PREFIXES
from local_redshift.sql.table_statements import is_late_binding, name_and_columns, without_binding
from local_redshift.sql.tokens import Token, code, name_text, spaced, text


def create_view(statement: list[Token], catalog: Catalog) -> str:
    """Translate CREATE [OR REPLACE] VIEW name [(columns)] AS query."""
    start = next((i for i, token in enumerate(statement) if token.word == "AS"), None)
    if start is None:
        raise SyntaxRefused("CREATE VIEW needs AS and a query")
    head, query = statement[:start], statement[start + 1 :]
    if is_late_binding(statement):
        tree = grammar.parse(without_binding(query))
        refusals.check(list(tree.walk()))
        if any(not table.db and cte_named(table) is None and _is_named(table) for table in tree.find_all(exp.Table)):
            raise RedshiftError(
                "All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING."
            )  # seen
        names, _ = name_and_columns(code(head))
        return f"{text(spaced(names))} AS SELECT"  # its query is translated when the view is read
    columns = " ".join(name_text(token) for token in code(head))
    return f"{columns} AS {translate_query(query, catalog)}"


def _is_named(table: exp.Table) -> bool:
    """Tell whether this is a user's table, neither a function nor part of the system catalog."""
    return isinstance(table.this, exp.Identifier) and not table.name.lower().startswith(SYSTEM_PREFIXES)
