"""Redshift's SQL in terms of PostgreSQL's: tokens, statements, and the definitions of tables."""

from local_redshift.sql.sort_keys import altered_table, analyzed_table, sort_key
from local_redshift.sql.tables import MAX_VARCHAR, created_table, quote
from local_redshift.sql.tokens import Token, closing, code, split_list, statements
from local_redshift.sql.translation import translate

__all__ = [
    "MAX_VARCHAR",
    "Token",
    "altered_table",
    "analyzed_table",
    "closing",
    "code",
    "created_table",
    "quote",
    "sort_key",
    "split_list",
    "statements",
    "translate",
]
