"""Translate Redshift SQL to PostgreSQL."""

from local_redshift.sql.cache import keep, prepare, remember, translate
from local_redshift.sql.catalog import MAX_VARBYTE, MAX_VARCHAR, Catalog, Columns, ColumnType
from local_redshift.sql.keys import FOREIGN, keys
from local_redshift.sql.system_queries import postgres_query, reads_system_tables_alone, with_own_catalog
from local_redshift.sql.table_statements import (
    Attributes,
    altered_table,
    analyzed_table,
    attributes,
    created_table,
    created_view,
    is_late_binding,
    late_binding_query,
    like_table,
    split_name,
)
from local_redshift.sql.tokens import Token, closing, code, code_indices, quote, split_list, statements, text, tokenize

__all__ = [
    "FOREIGN",
    "MAX_VARBYTE",
    "MAX_VARCHAR",
    "Attributes",
    "Catalog",
    "ColumnType",
    "Columns",
    "Token",
    "altered_table",
    "analyzed_table",
    "attributes",
    "closing",
    "code",
    "code_indices",
    "created_table",
    "created_view",
    "is_late_binding",
    "keep",
    "keys",
    "late_binding_query",
    "like_table",
    "postgres_query",
    "prepare",
    "quote",
    "reads_system_tables_alone",
    "remember",
    "split_list",
    "split_name",
    "statements",
    "text",
    "tokenize",
    "translate",
    "with_own_catalog",
]
