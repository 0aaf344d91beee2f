"""Parse Redshift SQL into trees and write them as PostgreSQL SQL, using sqlglot.

The parser knows no functions: every call keeps its name, and only functions.py decides how it is translated.
"""

import logging
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import ParseError, TokenError
from sqlglot.generators.postgres import PostgresGenerator
from sqlglot.parsers.redshift import RedshiftParser

from local_redshift.errors import NotSupported, SyntaxRefused

# silence sqlglot's warnings about statements that it can't parse: `parse` refuses them
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_SYNTAX_OF_THEIR_OWN = ("CAST", "CONVERT", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "TRY_CAST")


class Grammar(Redshift):
    """A sqlglot dialect that parses Redshift's SQL and writes PostgreSQL's."""

    class Tokenizer(Redshift.Tokenizer):
        """Reads ABSTIME (the type of pg_user.valuntil) as a timestamp, and BYTEA as a name."""

        KEYWORDS: ClassVar = {
            **{word: kind for word, kind in Redshift.Tokenizer.KEYWORDS.items() if word != "BYTEA"},
            "ABSTIME": sqlglot.TokenType.TIMESTAMPTZ,
        }

    class Parser(RedshiftParser):
        """Parses a statement without replacing function names with sqlglot's own."""

        FUNCTIONS: ClassVar = {}
        FUNCTION_PARSERS: ClassVar = {name: RedshiftParser.FUNCTION_PARSERS[name] for name in _SYNTAX_OF_THEIR_OWN}
        NO_PAREN_FUNCTIONS: ClassVar = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar = {
            "ANY": RedshiftParser.NO_PAREN_FUNCTION_PARSERS["ANY"],
            "CASE": RedshiftParser.NO_PAREN_FUNCTION_PARSERS["CASE"],
            "APPROXIMATE": lambda self: self._parse_approximate(),
        }

        def _parse_approximate(self) -> exp.Expr | None:
            # drop APPROXIMATE: an exact result is also a valid approximation
            start = self._index - 1
            call = self._parse_function()
            named = call.find(exp.Anonymous) if call else None
            if named is not None and named.name.upper() in ("COUNT", "PERCENTILE_DISC"):
                return call
            self._retreat(start)
            return None

    class Generator(PostgresGenerator):
        """Writes SQL from a tree that contains only PostgreSQL's constructs."""

        TRANSFORMS: ClassVar = {
            **PostgresGenerator.TRANSFORMS,
            exp.Select: lambda self, node: self.select_sql(node),
        }

        def literal_sql(self, expression: exp.Literal) -> str:
            """Write a literal; double each backslash, since the server reads it as an escape."""
            if not expression.is_string:
                return str(expression.this)
            return "'" + str(expression.this).replace("\\", "\\\\").replace("'", "''") + "'"

        def identifier_sql(self, expression: exp.Identifier) -> str:
            """Quote a name, since it may be a PostgreSQL keyword."""
            return '"' + str(expression.this).replace('"', '""') + '"'

        def var_sql(self, expression: exp.Var) -> str:
            """Write a Var node unchanged; the translation uses such nodes for ready-made SQL."""
            return expression.name

        def interval_sql(self, expression: exp.Interval) -> str:
            """Write an interval as it was given."""
            unit = expression.text("unit")
            return f"INTERVAL '{expression.this.name} {unit}'" if unit else f"INTERVAL '{expression.this.name}'"


def parse(sql: str) -> exp.Expr:
    """Parse one statement into a tree; raise SyntaxRefused with the error's position."""
    try:
        trees = sqlglot.parse(sql, read=Grammar)
    except ParseError as error:
        where = error.errors[0]
        near, line, column = where.get("highlight") or "end of statement", where.get("line"), where.get("col")
        raise SyntaxRefused(f'syntax error at or near "{near}" (line {line}, column {column})') from None
    except TokenError:
        raise SyntaxRefused("syntax error: a quote or a comment is not closed") from None
    except RecursionError:
        raise NotSupported("this statement is nested too deeply for the local stand-in") from None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        raise NotSupported(f"the local stand-in can't read this statement: {' '.join(sql.split())[:60]}")
    return trees[0]


def write(tree: exp.Expr) -> str:
    """Write a tree as SQL. The tree must contain only PostgreSQL's constructs."""
    return Grammar().generate(tree, copy=False, comments=False, normalize_functions=False)
