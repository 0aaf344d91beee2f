"""Redshift's SQL in terms of PostgreSQL's: tokens, statements, queries, and the definitions of tables."""

from local_redshift.sql.catalog import MAX_VARCHAR, Catalog, Columns, ColumnType
from local_redshift.sql.keys import references
from local_redshift.sql.memory import prepare, remember, translate
from local_redshift.sql.table_statements import altered_table, analyzed_table, created_table, sort_key
from local_redshift.sql.tokens import Token, closing, code, quote, split_list, statements, tokenize

__all__ = [
    "MAX_VARCHAR",
    "Catalog",
    "ColumnType",
    "Columns",
    "Token",
    "altered_table",
    "analyzed_table",
    "closing",
    "code",
    "created_table",
    "prepare",
    "quote",
    "references",
    "remember",
    "sort_key",
    "split_list",
    "statements",
    "tokenize",
    "translate",
]
