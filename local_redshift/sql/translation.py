"""Redshift's SQL in terms of PostgreSQL: what differs, and what is refused by name.

Anything not mentioned here goes to PostgreSQL as it is.
"""

from collections.abc import Callable

from local_redshift.errors import NotSupported
from local_redshift.sql.tables import alter_table, create_table
from local_redshift.sql.tokens import Token, closing, code, text

STATEMENTS = (
    "ABORT ALTER ANALYZE BEGIN CLOSE COMMENT COMMIT COPY CREATE DECLARE DELETE DROP END EXPLAIN FETCH GRANT "
    "INSERT LOCK RESET REVOKE ROLLBACK SELECT SET SHOW START TRUNCATE UPDATE VACUUM WITH"
).split()

# What PostgreSQL would take and Redshift does not, so it must not pass here either.
# https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-features.html
NOT_IN_REDSHIFT = (
    "ON CONFLICT",
    "RETURNING",
    "DISTINCT ON",
    "FILTER (",
    "FROM ( VALUES",
    "JOIN ( VALUES",
    "JOIN LATERAL",
    "FOR UPDATE",
    "IS NOT DISTINCT FROM",
    "IS DISTINCT FROM",
    "NULLS NOT DISTINCT",
    "ROLLBACK TO",
    "CREATE INDEX",
    "CREATE UNIQUE",
    "CREATE UNLOGGED",
    "CREATE TRIGGER",
    "CREATE RULE",
    "CREATE SEQUENCE",
    "CREATE EXTENSION",
    "CREATE DOMAIN",
    "CREATE TYPE",
    "CREATE OPERATOR",
    "CREATE STATISTICS",
    "ARRAY [",
    "STRING_AGG (",
    "ARRAY_AGG (",
    ":: JSON",
    ":: JSONB",
    ":: UUID",
    ":: BYTEA",
)

# What Redshift takes and the stand-in does not.
NOT_IMITATED = (
    "LISTAGG (",
    "MEDIAN (",
    "APPROXIMATE COUNT",
    "RATIO_TO_REPORT (",
    "NVL2 (",
    "DECODE (",
    "QUALIFY",
    "PIVOT (",
    "UNPIVOT (",
    "WITH NO SCHEMA",
    "CREATE EXTERNAL",
    "CREATE MATERIALIZED",
    "CREATE FUNCTION",
    "CREATE OR REPLACE FUNCTION",
    "CREATE PROCEDURE",
    "CREATE OR REPLACE PROCEDURE",
    "CREATE LIBRARY",
    "CREATE MODEL",
    "CREATE DATASHARE",
    "ANALYZE COMPRESSION",
)

# https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html
DATE_PARTS = {
    "DAYOFWEEK": "dow",
    "WEEKDAY": "dow",
    "DW": "dow",
    "DAYOFYEAR": "doy",
    "DY": "doy",
    "YRDAY": "doy",
    "MIN": "minute",
    "MON": "month",
    "MS": "millisecond",
}


def translate(statement: list[Token], *, autocommit: bool = False) -> str:
    """The PostgreSQL statement that does what the Redshift one does.

    `autocommit` says that the statement runs in no transaction block, where Redshift takes some that
    it otherwise refuses. Raise NotSupported, naming the word, for what is not taken.
    """
    words = [token.word for token in code(statement)]
    _refuse(words)
    rule = _STATEMENT_RULES.get(words[0])
    if rule is not None:
        statement = rule(statement)
    elif words[0] == "CREATE" and "TABLE" in words[1:4]:
        statement = create_table(statement)
    elif words[:2] == ["ALTER", "TABLE"]:
        statement = alter_table(statement, autocommit=autocommit)
    return text(_expressions(statement))


def _refuse(words: list[str]) -> None:
    if words[0] not in STATEMENTS:
        raise NotSupported(f"the local stand-in does not take the statement {words[0] or '(no word)'}")
    spaced = f" {' '.join(words)} "
    for phrase in NOT_IN_REDSHIFT:
        if f" {phrase} " in spaced:
            raise NotSupported(f"Redshift does not support {phrase.rstrip(' (')}, so the stand-in refuses it")
    for phrase in NOT_IMITATED:
        if f" {phrase} " in spaced:
            raise NotSupported(f"the local stand-in does not imitate {phrase.rstrip(' (')}")


class _Code:
    """A statement's tokens, and the words among them by their number."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = list(tokens)
        self._places = [at for at, token in enumerate(tokens) if token.kind != "space"]
        self._words = [tokens[at].word for at in self._places]
        self._limits: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._words)

    def word(self, n: int) -> str:
        """The n-th word; nothing before the first, after the last, and for literals."""
        return self._words[n] if 0 <= n < len(self._words) else ""

    def token(self, n: int) -> Token:
        return self.tokens[self._places[n]] if n < len(self._places) else Token("space", "")

    def replace(self, n: int, text: str, kind: str = "word") -> None:
        self.tokens[self._places[n]] = Token(kind, text)

    def replace_closing(self, n: int, text: str) -> None:
        """Replace the parenthesis that closes the n-th word."""
        end = closing(self.tokens, self._places[n])
        if end < len(self.tokens):
            self.tokens[end] = Token("word", text)

    def limit(self, n: int, number: str) -> None:
        """Have the SELECT that the n-th word stands in end with a LIMIT."""
        self._limits.append((_end_of_select(self.tokens, self._places[n]), number))

    def rewritten(self) -> list[Token]:
        for end, number in sorted(self._limits, reverse=True):
            self.tokens.insert(end, Token("word", f"\nLIMIT {number}"))
        return self.tokens


def _expressions(tokens: list[Token]) -> list[Token]:
    """Rewrite what may stand anywhere in a statement, each word by its rule."""
    code = _Code(tokens)
    for n in range(len(code)):
        rule = _WORD_RULES.get(code.word(n))
        if rule is not None:
            rule(code, n)
    return code.rewritten()


def _nvl(code: _Code, n: int) -> None:
    if code.word(n + 1) == "(":
        code.replace(n, "COALESCE")


def _sysdate(code: _Code, n: int) -> None:
    code.replace(n, "local_redshift.sysdate()")


def _minus(code: _Code, n: int) -> None:
    if code.word(n + 1) in ("SELECT", "("):
        code.replace(n, "EXCEPT")


def _delete(code: _Code, n: int) -> None:
    if n == 0 and code.word(n + 1) != "FROM":
        code.replace(n, "DELETE FROM")


def _bare_decimal(code: _Code, n: int) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html: the default is (18,0)
    if code.word(n - 1) in ("::", "AS") and code.word(n + 1) != "(":
        code.replace(n, "NUMERIC(18,0)")


def _extract(code: _Code, n: int) -> None:
    # Redshift gives an integer. https://docs.aws.amazon.com/redshift/latest/dg/r_EXTRACT_function.html
    if code.word(n + 1) != "(" or code.word(n + 3) != "FROM":
        return
    part = _date_part(code.token(n + 2))
    cut = "floor" if part in ("epoch", "second") else ""  # the others are whole numbers
    code.replace_closing(n + 1, "))::bigint" if part == "epoch" else "))::integer")
    code.replace(n, f"{cut}(date_part")
    code.replace(n + 2, f"'{part}'", "string")
    code.replace(n + 3, ",", "punctuation")


def _date_part_first(code: _Code, n: int) -> None:
    part = code.token(n + 2)
    if code.word(n + 1) == "(" and part.kind == "word":
        code.replace(n + 2, f"'{_date_part(part)}'", "string")


def _top(code: _Code, n: int) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_list.html
    number = code.token(n + 1)
    if code.word(n - 1) in ("SELECT", "DISTINCT", "ALL") and number.kind == "number":
        code.limit(n, number.text)
        code.replace(n, "", "space")
        code.replace(n + 1, "", "space")


_WORD_RULES: dict[str, Callable[[_Code, int], None]] = {
    "NVL": _nvl,
    "SYSDATE": _sysdate,
    "MINUS": _minus,
    "DELETE": _delete,
    **dict.fromkeys(("DECIMAL", "NUMERIC", "DEC"), _bare_decimal),
    "EXTRACT": _extract,
    **dict.fromkeys(("DATEADD", "DATEDIFF", "DATE_PART", "DATE_TRUNC", "DATE_ADD", "DATE_DIFF"), _date_part_first),
    "TOP": _top,
}


def _date_part(token: Token) -> str:
    return DATE_PARTS.get(token.word, token.text.lower())


def _end_of_select(tokens: list[Token], start: int) -> int:
    """Where the SELECT that `start` stands in ends: its closing parenthesis or the end of the statement."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i].word == "(") - (tokens[i].word == ")")
        if depth < 0:
            return i
    return len(tokens)


def _lock(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_LOCK.html: ACCESS EXCLUSIVE is the only mode
    words = [token.word for token in code(statement)]
    if "MODE" in words or "NOWAIT" in words:
        raise NotSupported("Redshift's LOCK has no mode and no NOWAIT: LOCK [TABLE] name [, ...]")
    return statement


def _vacuum(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VACUUM_command.html: rows are not sorted here
    ignored = ("FULL", "SORT", "DELETE", "ONLY", "REINDEX", "RECLUSTER", "BOOST")
    tokens = [token for token in statement if token.word not in ignored]
    to = [i for i, token in enumerate(tokens) if token.word == "TO"]
    return tokens[: to[0]] if to else tokens


def _analyze(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html
    return [token for token in statement if token.word not in ("PREDICATE", "ALL", "COLUMNS")]


def _parameter(statement: list[Token]) -> list[Token]:
    """A parameter that Redshift has and PostgreSQL has not, by the name that it has here."""
    # https://docs.aws.amazon.com/redshift/latest/dg/r_analyze_threshold_percent.html
    ours = Token("word", "local_redshift.analyze_threshold_percent")
    return [ours if token.word == "ANALYZE_THRESHOLD_PERCENT" else token for token in statement]


def _set(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html: Redshift's own is always searched
    statement = _parameter(statement)
    words = [token.word for token in code(statement)]
    if "SEARCH_PATH" in words[1:3] and "DEFAULT" not in words:
        return [*statement, Token("punctuation", ","), Token("word", " local_redshift, pg_catalog")]
    return statement


_STATEMENT_RULES = {
    "LOCK": _lock,
    "VACUUM": _vacuum,
    "ANALYZE": _analyze,
    "SET": _set,
    "RESET": _parameter,
    "SHOW": _parameter,
}
