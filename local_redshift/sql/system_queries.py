"""Translate the system catalog queries of drivers and tools.

The schema local_redshift has a cluster's system views, including those that PostgreSQL has in a different form. Queries
find these views with any search_path, even if a name is qualified with pg_catalog or information_schema.
"""

import re

from local_redshift.errors import RedshiftError
from local_redshift.sql.cache import prepare
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.tokens import Token, code, code_indices, text

# the views and functions of server/functions/pg_catalog.sql that replace PostgreSQL's
_OWN_CATALOG = frozenset(
    "pg_attrdef pg_attribute pg_class pg_constraint pg_database pg_index pg_indexes pg_namespace pg_proc "
    "pg_stat_activity pg_tables pg_user pg_views pg_table_def format_type pg_get_constraintdef pg_get_expr "
    "pg_get_viewdef pg_get_late_binding_view_cols version".split()
)
_OWN_INFORMATION_SCHEMA = frozenset(
    "columns constraint_column_usage key_column_usage referential_constraints table_constraints tables views".split()
)
_SYSTEM_TABLES = ("stl_", "stv_", "svl_", "svv_", "svcs_", "sys_")
SYSTEM_PREFIXES = ("pg_", *_SYSTEM_TABLES)
_MENTIONS = re.compile(r"\b(?:pg_|stl_|stv_|svl_|svv_|svcs_|sys_|information_schema|format_encoding)", re.IGNORECASE)

_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(?!\()([\w.\"]+)", re.IGNORECASE)
_SYSTEM = re.compile(r'"?(?:pg_catalog"?\.|information_schema"?\.|local_redshift\.|pg_)', re.IGNORECASE)
_WRITES_OR_FILES = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|INTO|pg_read_\w+|pg_ls_\w+|pg_stat_file|lo_\w+|\w+_to_xml\w*|ts_stat|dblink\w*)\b",
    re.IGNORECASE,
)


def reads_system_tables_alone(statement: list[Token]) -> bool:
    """Return whether a statement only queries the system catalog."""
    tokens = code(statement)
    if tokens[0].word not in ("SELECT", "WITH"):
        return False
    sql = " ".join(token.text for token in tokens if token.kind != "string").replace(" . ", ".")
    named = {word.lower() for word in re.findall(r"\b(\w+)\s+AS\s+\(", sql, re.IGNORECASE)}  # names of CTEs
    sources = [source for source in _SOURCE.findall(sql) if source.lower() not in named | {"generate_series"}]
    return bool(sources) and all(_SYSTEM.match(source) for source in sources) and not _WRITES_OR_FILES.search(sql)


def postgres_query(statement: list[Token], catalog: Catalog) -> str:
    """Translate a system catalog query; return it unchanged if that fails."""
    prepare()  # here, because loading the grammar takes 0.1 s
    from local_redshift.sql.dml import translate_system_query

    try:
        return translate_system_query(statement, catalog)
    except RedshiftError:  # PostgreSQL may accept the original query
        return text(statement)


def with_own_catalog(statement: list[Token]) -> list[Token]:
    """Redirect system catalog names to the stand-in's own views and functions."""
    if not any(_MENTIONS.match(token.name) for token in statement if token.kind in ("word", "quoted")):
        return statement
    indices = code_indices(statement)
    for n, index in enumerate(indices):
        after = [statement[p] for p in indices[n + 1 : n + 3]]
        before = statement[indices[n - 1]].word if n else ""
        schema = statement[index].name
        name = after[1].name if len(after) == 2 and after[0].word == "." else ""
        is_called = len(indices) > n + 3 and statement[indices[n + 3]].word == "("
        if schema == "pg_catalog" and is_called and name == "version":
            # remove `pg_catalog.`, so that the stand-in's version() is called
            statement = [*statement[:index], *(Token("space", "") for _ in range(2)), *statement[index + 2 :]]
        elif schema == "pg_catalog" and (name in _OWN_CATALOG or name.startswith(_SYSTEM_TABLES)):
            statement = [*statement[:index], Token("word", "local_redshift"), *statement[index + 1 :]]
        elif schema == "information_schema" and name in _OWN_INFORMATION_SCHEMA:
            statement = [*statement[:index], Token("word", "local_redshift"), *statement[index + 1 :]]
            at = indices[n + 2]
            statement = [*statement[:at], Token("word", f"information_schema_{name}"), *statement[at + 1 :]]
        elif before in ("FROM", "JOIN", ",") and not name and _is_own_name(statement[index]):
            statement = [*statement[:index], Token("word", f"local_redshift.{schema}"), *statement[index + 1 :]]
    return statement


def _is_own_name(token: Token) -> bool:
    return token.kind in ("word", "quoted") and (token.name in _OWN_CATALOG or token.name.startswith(_SYSTEM_TABLES))
