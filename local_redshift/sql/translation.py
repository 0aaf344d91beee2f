"""Translate Redshift's SQL to PostgreSQL's, and refuse unsupported SQL.

Queries are in dml.py, tables and views in tables.py, SET and SHOW in settings.py; all other statements are here.
"""

import itertools

from local_redshift.errors import NotSupported, SyntaxRefused, not_in_redshift, not_supported
from local_redshift.sql.cache import prepare
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.settings import reset, set_parameter, show, with_own_schema
from local_redshift.sql.tokens import Token, code, code_indices, name_text, quote, spaced, split_list, text

VERBS = ("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE", "MERGE")  # first tokens of queries
STATEMENTS = (
    *VERBS,
    *(
        "ABORT ALTER ANALYZE BEGIN CLOSE COMMENT COMMIT COPY CREATE DECLARE DROP END EXPLAIN FETCH GRANT LOCK RESET "
        "REVOKE ROLLBACK SET SHOW START TRUNCATE VACUUM"
    ).split(),
)

# PostgreSQL accepts these, but Redshift does not.
# https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-features.html
NOT_IN_REDSHIFT = (
    "ON CONFLICT",
    "DISTINCT ON",
    ") FILTER (",
    "FROM ( VALUES",
    "JOIN ( VALUES",
    "IS NOT DISTINCT FROM",
    "IS DISTINCT FROM",
    "FOR UPDATE",
    "FOR SHARE",
    "FOR NO KEY UPDATE",
    "FOR KEY SHARE",
    "LATERAL",
    "TABLESAMPLE",
    "FETCH FIRST",
    "ARRAY [",
    "STRING_AGG (",
    "ARRAY_AGG (",
    "NULLS NOT DISTINCT",
    "ROLLBACK TO",
    "VACUUM ANALYZE",
    "EXPLAIN ANALYZE",
    "EXPLAIN (",
    "WITH NO DATA",
    "CREATE UNIQUE INDEX",
    "CREATE UNLOGGED",
)
# The object kinds that CREATE, DROP and ALTER accept. DEFAULT stands for DEFAULT PRIVILEGES.
_KINDS = {
    "CREATE": "TABLE VIEW SCHEMA DATABASE USER GROUP ROLE".split(),
    "DROP": "TABLE VIEW SCHEMA DATABASE USER GROUP ROLE".split(),
    "ALTER": "TABLE SCHEMA DATABASE USER GROUP ROLE DEFAULT".split(),
}
_KINDS_NOT_SUPPORTED = (
    "EXTERNAL MATERIALIZED FUNCTION PROCEDURE LIBRARY MODEL DATASHARE IDENTITY MASKING RLS SYNONYM INTEGRATION".split()
)
NOT_SUPPORTED = (
    "PIVOT (",
    "UNPIVOT (",
    "CONNECT BY",
    "ANALYZE COMPRESSION",
    "FOR SCHEMAS",
    "FOR TABLES",
)


def translate(statement: list[Token], catalog: Catalog, *, autocommit: bool = False) -> str:
    """Translate a Redshift statement to PostgreSQL's SQL.

    `autocommit` means that the statement runs outside a transaction block, which Redshift requires for some statements.
    Raise NotSupported, naming the construct, if the statement is refused.
    """
    statement = _with_returning_as_name(statement)
    words = [token.word for token in code(statement)]
    _refuse(words)
    if _needs_grammar(words):
        return _by_grammar(statement, words, catalog, autocommit)
    if words[0] == "EXPLAIN":
        return _explain(statement, catalog)
    if words[0] == "DECLARE":
        return _declare(statement, catalog)
    if words[0] == "ALTER" and "SEARCH_PATH" in words:
        return _text(with_own_schema(statement))
    rule = _user if words[:2] in (["CREATE", "USER"], ["ALTER", "USER"]) else _STATEMENT_RULES.get(words[0])
    return _text(rule(statement) if rule is not None else statement)


def _with_returning_as_name(statement: list[Token]) -> list[Token]:
    """Quote RETURNING if it is a name; raise NotSupported if it begins a clause."""
    tokens = code(statement)
    if all(token.word != "RETURNING" for token in tokens):
        return statement
    before_a_name = ("(", ",", ".", "SELECT", "BY", "AND", "OR", "=", "<", ">", "SET", "WHERE", "COLUMN", "ON", "TABLE")
    is_clause = {"INSERT", "UPDATE", "DELETE", "MERGE"} & {token.word for token in tokens} and any(
        token.word == "RETURNING" and before.word not in before_a_name for before, token in itertools.pairwise(tokens)
    )
    if is_clause:
        raise not_in_redshift("RETURNING")
    return [Token("quoted", quote(token.name)) if token.word == "RETURNING" else token for token in statement]


def _needs_grammar(words: list[str]) -> bool:
    is_created = words[0] == "CREATE" and bool({"TABLE", "VIEW"} & set(words[1:4]))
    return words[0] in VERBS or is_created or words[:2] == ["ALTER", "TABLE"]


def _by_grammar(statement: list[Token], words: list[str], catalog: Catalog, autocommit: bool) -> str:
    # imported here: a run whose queries are all cached does not need the grammar, which takes 0.1 s to load
    prepare()
    from local_redshift.sql.dml import translate_query
    from local_redshift.sql.tables import alter_table, create_table, create_view

    if words[0] in VERBS:
        return translate_query(statement, catalog)
    if words[0] == "ALTER":
        return alter_table(statement, catalog, autocommit=autocommit)
    return create_table(statement, catalog) if "TABLE" in words[1:4] else create_view(statement, catalog)


def _text(statement: list[Token]) -> str:
    """Return a statement as SQL, with quoted names folded to lower case."""
    return "".join(map(name_text, statement))


def _refuse(words: list[str]) -> None:
    if words[0] not in STATEMENTS:
        raise NotSupported(f"the local stand-in does not support the statement {words[0] or '(no word)'}")
    spaced = f" {' '.join(words)} "
    for phrase in NOT_IN_REDSHIFT:
        if f" {phrase} " in spaced:
            raise not_in_redshift(phrase.strip(" ()"))
    for phrase in NOT_SUPPORTED:
        if f" {phrase} " in spaced:
            raise not_supported(phrase.rstrip(" ("))
    if words[0] in _KINDS:
        _refuse_kind(words)


def _refuse_kind(words: list[str]) -> None:
    """Refuse kinds of objects that Redshift or the stand-in does not support."""
    passed = ("OR", "REPLACE", "TEMP", "TEMPORARY", "LOCAL")
    rest = [word for word in words[1:5] if word not in passed] or [""]
    if rest[0] in _KINDS_NOT_SUPPORTED:
        raise not_supported(f"{words[0]} {rest[0]}{' VIEW' if rest[0] == 'MATERIALIZED' else ''}")
    if rest[0] not in _KINDS[words[0]]:
        raise not_in_redshift(f"{words[0]} {rest[0]}".strip())
    if rest[0] != "TABLE" and {"TEMP", "TEMPORARY"} & set(words[1:3]):
        raise not_in_redshift(f"{words[0]} TEMP {rest[0]}")


def _explain(statement: list[Token], catalog: Catalog) -> str:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_EXPLAIN.html; the stand-in shows PostgreSQL's plan instead
    indices = code_indices(statement)
    first = 2 if [statement[index].word for index in indices[1:2]] == ["VERBOSE"] else 1
    start = indices[first] if len(indices) > first else len(statement)
    rest = statement[start:]
    if not code(rest):
        raise SyntaxRefused("EXPLAIN needs a statement")
    return text(statement[:start]) + translate(rest, catalog)


def _declare(statement: list[Token], catalog: Catalog) -> str:
    # https://docs.aws.amazon.com/redshift/latest/dg/declare.html
    indices = code_indices(statement)
    if [statement[index].word for index in indices[3:5]] == ["WITHOUT", "HOLD"]:
        # drop WITHOUT HOLD, which is the default; psycopg2 adds it for named cursors
        statement = [*statement[: indices[3]], *statement[indices[4] + 1 :]]
    words = [token.word for token in code(statement)]
    if "SCROLL" in words[:5] or "HOLD" in words[:6]:
        raise not_in_redshift("SCROLL and WITH HOLD of a cursor")
    if words[2:4] != ["CURSOR", "FOR"]:
        raise SyntaxRefused("DECLARE: name CURSOR FOR query expected")
    indices = code_indices(statement)
    if len(indices) < 5:
        raise SyntaxRefused("DECLARE needs a query")
    return _text(statement[: indices[4]]) + translate(statement[indices[4] :], catalog)


def _lock(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_LOCK.html: ACCESS EXCLUSIVE is the only mode
    words = [token.word for token in code(statement)]
    if "MODE" in words or "NOWAIT" in words:
        raise NotSupported("Redshift's LOCK has no mode and no NOWAIT: LOCK [TABLE] name [, ...]")
    return statement


def _truncate(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html: it takes one table and no options
    tokens = [token for token in code(statement)[1:] if token.word != "TABLE"]
    if len(split_list(tokens)) > 1:
        raise not_in_redshift("TRUNCATE of several tables")
    if any(token.word != "." for token in tokens[1::2]) or len(tokens) % 2 == 0:  # something follows the table name
        raise not_in_redshift(f"{text(tokens[-1:]).upper()} after TRUNCATE")
    return statement


def _vacuum(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VACUUM_command.html: drop Redshift's options, since the stand-in
    # does not sort rows
    ignored = ("FULL", "SORT", "DELETE", "ONLY", "REINDEX", "RECLUSTER", "BOOST")
    tokens = [token for token in statement if token.word not in ignored]
    to = [i for i, token in enumerate(tokens) if token.word == "TO"]
    return tokens[: to[0]] if to else tokens


def _analyze(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html
    return [token for token in statement if token.word not in ("PREDICATE", "ALL", "COLUMNS")]


def _grant(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html: drop the keyword ROLE, which PostgreSQL does not
    # accept here
    tokens = code(statement)
    named = {
        id(tokens[n])
        for n in range(1, len(tokens))
        if tokens[n].word == "ROLE" and tokens[n - 1].word in ("GRANT", "REVOKE", "TO", "FROM", ",")
    }
    return [token for token in statement if id(token) not in named]


def _user(statement: list[Token]) -> list[Token]:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html: replace or drop options that PostgreSQL lacks
    tokens = code(statement)
    made: list[Token] = []
    while tokens:
        token, tokens = tokens[0], tokens[1:]
        following = [after.word for after in tokens[:2]]
        if token.word == "PASSWORD" and following[:1] == ["DISABLE"]:
            made, tokens = [*made, token, Token("word", "NULL")], tokens[1:]
        elif token.word in ("CREATEUSER", "NOCREATEUSER"):
            made.append(Token("word", "SUPERUSER" if token.word == "CREATEUSER" else "NOSUPERUSER"))
        elif " ".join([token.word, *following[:1]]) in ("SYSLOG ACCESS", "SESSION TIMEOUT", "RESET SESSION"):
            tokens = tokens[2:]
        elif token.word == "EXTERNALID":
            tokens = tokens[1:]
        elif token.word == "CONNECTION" and [after.word for after in tokens[1:2]] == ["UNLIMITED"]:
            made, tokens = [*made, token, tokens[0], Token("word", "-1")], tokens[2:]
        else:
            made.append(token)
    return spaced(made)


_STATEMENT_RULES = {
    "LOCK": _lock,
    "TRUNCATE": _truncate,
    "VACUUM": _vacuum,
    "ANALYZE": _analyze,
    "SET": set_parameter,
    "RESET": reset,
    "SHOW": show,
    "GRANT": _grant,
    "REVOKE": _grant,
}
