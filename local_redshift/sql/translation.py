"""Redshift's SQL in terms of PostgreSQL: what differs, and what is refused by name.

Anything not mentioned here goes to PostgreSQL as it is.
"""

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
_DATE_PART_FIRST = ("DATEADD", "DATEDIFF", "DATE_PART", "DATE_TRUNC", "DATE_ADD", "DATE_DIFF")


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


def _expressions(tokens: list[Token]) -> list[Token]:
    """Rewrite what may stand anywhere in a statement: TOP, NVL, SYSDATE, MINUS, date parts, bare DECIMAL."""
    tokens = list(tokens)
    position = [i for i, token in enumerate(tokens) if token.kind != "space"]
    words = [tokens[i].word for i in position]
    limits: list[tuple[int, str]] = []
    for n, word in enumerate(words):
        before = words[n - 1] if n else ""
        after = words[n + 1] if n + 1 < len(words) else ""
        at = position[n]
        if word == "NVL" and after == "(":
            tokens[at] = Token("word", "COALESCE")
        elif word == "SYSDATE":
            tokens[at] = Token("word", "local_redshift.sysdate()")
        elif word == "MINUS" and after in ("SELECT", "("):
            tokens[at] = Token("word", "EXCEPT")
        elif word == "DELETE" and n == 0 and after != "FROM":
            tokens[at] = Token("word", "DELETE FROM")
        elif word in ("DECIMAL", "NUMERIC", "DEC") and before in ("::", "AS") and after != "(":
            # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html: the default is (18,0)
            tokens[at] = Token("word", "NUMERIC(18,0)")
        elif word == "EXTRACT" and after == "(" and words[n + 3 : n + 4] == ["FROM"]:
            # Redshift gives an integer. r_EXTRACT_function.html
            part = _date_part(tokens[position[n + 2]])
            cut = "floor" if part in ("epoch", "second") else ""  # the others are whole numbers
            tokens[at] = Token("word", f"{cut}(date_part")
            tokens[position[n + 2]] = Token("string", f"'{part}'")
            tokens[position[n + 3]] = Token("punctuation", ",")
            end = closing(tokens, position[n + 1])
            tokens[end] = Token("word", "))::bigint" if part == "epoch" else "))::integer")
        elif word in _DATE_PART_FIRST and after == "(" and n + 2 < len(words):
            part = tokens[position[n + 2]]
            if part.kind == "word":
                tokens[position[n + 2]] = Token("string", f"'{_date_part(part)}'")
        elif word == "TOP" and before in ("SELECT", "DISTINCT", "ALL") and n + 1 < len(words):
            number = tokens[position[n + 1]]
            if number.kind == "number":
                limits.append((_end_of_select(tokens, at), number.text))
                tokens[at] = tokens[position[n + 1]] = Token("space", "")
    for end, number in sorted(limits, reverse=True):
        tokens.insert(end, Token("word", f"\nLIMIT {number}"))
    return tokens


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


def _set(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html: Redshift's own is always searched
    words = [token.word for token in code(statement)]
    if "SEARCH_PATH" in words[1:3] and "DEFAULT" not in words:
        return [*statement, Token("punctuation", ","), Token("word", " local_redshift, pg_catalog")]
    return statement


_STATEMENT_RULES = {"LOCK": _lock, "VACUUM": _vacuum, "ANALYZE": _analyze, "SET": _set}
