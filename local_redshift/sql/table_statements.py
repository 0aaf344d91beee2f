"""Read names, definitions and attributes from statements on tables and views.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html, r_ALTER_TABLE.html, r_ANALYZE.html
"""

from typing import NamedTuple

from local_redshift.errors import SyntaxRefused
from local_redshift.sql.tokens import (
    Token,
    closing,
    code,
    code_indices,
    name_text,
    quote,
    spaced,
    split_list,
    text,
    tokenize,
)

_NO_SCHEMA_BINDING = ["WITH", "NO", "SCHEMA", "BINDING"]


def sort_key(statement: list[Token]) -> list[str] | None:
    """Return the sort key columns: [] for SORTKEY AUTO or NONE, None without SORTKEY."""
    tokens = without_query(code(statement))
    words = [token.word for token in tokens]
    if "SORTKEY" not in words or "TABLE" not in words[1:4]:
        return None
    at = words.index("SORTKEY") + 1
    if words[at : at + 1] == ["("]:
        return [token.name for token in tokens[at + 1 : closing(tokens, at)] if token.word != ","]
    if words[at : at + 1] in (["AUTO"], ["NONE"]) or "(" not in words:
        return []
    start = words.index("(")
    columns = split_list(tokens[start + 1 : closing(tokens, start)])
    return [column[0].name for column in columns if any(token.word == "SORTKEY" for token in column[1:])]


class Attributes(NamedTuple):
    """Distribution, sort key and encodings that a statement sets; unset: None, {} or False."""

    diststyle: str | None
    distkey: str | None
    sort_key: list[str] | None
    is_interleaved: bool
    encodings: dict[str, str]


_DIST_STYLES = ("EVEN", "KEY", "ALL", "AUTO")
# https://docs.aws.amazon.com/redshift/latest/dg/c_Compression_encodings.html
ENCODINGS = (
    "RAW AUTO AZ64 BYTEDICT DELTA DELTA32K LZO MOSTLY8 MOSTLY16 MOSTLY32 RUNLENGTH TEXT255 TEXT32K ZSTD NONE".split()
)


def attributes(statement: list[Token]) -> Attributes:
    """Return a statement's table attributes. Raise SyntaxRefused for invalid ones."""
    tokens = without_query(code(statement))
    words = [token.word for token in tokens]
    style, distkey = None, None
    if "DISTSTYLE" in words[:-1]:
        style = words[words.index("DISTSTYLE") + 1]
        if style not in _DIST_STYLES:
            raise SyntaxRefused(f"DISTSTYLE {style}: EVEN, KEY, ALL or AUTO is expected")
    if "DISTKEY" in words:
        distkey = _distkey(tokens, words.index("DISTKEY"))
    if style == "KEY" and distkey is None:
        raise SyntaxRefused("DISTSTYLE KEY needs a DISTKEY")
    return Attributes(
        "KEY" if distkey is not None else style,
        distkey,
        sort_key(statement),
        "INTERLEAVED" in words,
        _encodings(statement),
    )


def _distkey(tokens: list[Token], at: int) -> str:
    """Return the column of a DISTKEY clause or of a column definition with DISTKEY."""
    after = tokens[at + 1 : at + 2]
    if [token.word for token in after] == ["("]:
        listed = [token for token in tokens[at + 2 : closing(tokens, at + 1)] if token.word != ","]
        if len(listed) != 1:
            raise SyntaxRefused("DISTKEY takes one column")
        return listed[0].name
    if tokens[0].word == "ALTER" and after and tokens[at - 1].word in ("ALTER", "KEY"):
        return after[0].name
    of = [one[0].name for one in definitions(tokens) if any(token.word == "DISTKEY" for token in one[1:])]
    if not of:
        raise SyntaxRefused("DISTKEY needs a column")
    return of[0]


def _encodings(statement: list[Token]) -> dict[str, str]:
    """Return the encodings in column definitions and in ALTER COLUMN ... ENCODE."""
    tokens = without_query(code(statement))
    found = {}
    for definition in [*definitions(statement), *_altered_columns(tokens)]:
        words = [token.word for token in definition]
        if "ENCODE" in words[1:-1]:
            encoding = words[words.index("ENCODE") + 1]
            if encoding not in ENCODINGS:
                raise SyntaxRefused(f"ENCODE {definition[words.index('ENCODE') + 1].text}: there is no such encoding")
            found[definition[0].name] = encoding.lower()
    return found


def _altered_columns(tokens: list[Token]) -> list[list[Token]]:
    if tokens[0].word != "ALTER":
        return []
    found = []
    for part in split_list(tokens[3:]):
        words = [token.word for token in part]
        if "COLUMN" in words[:-1]:
            found.append(part[words.index("COLUMN") + 1 :])
    return found


def definitions(statement: list[Token]) -> list[list[Token]]:
    """Return the columns and constraints defined by CREATE TABLE or ALTER TABLE ADD."""
    tokens = without_query(code(statement))
    if len(tokens) < len(code(statement)):
        return []  # CREATE TABLE AS has column names, but no definitions
    words = [token.word for token in tokens]
    if words[:2] == ["ALTER", "TABLE"]:
        at = words.index("ADD") + 1 if "ADD" in words else len(words)
        at += words[at : at + 1] == ["COLUMN"]
        return [tokens[at:]] if at < len(tokens) else []
    if words[0] != "CREATE" or "(" not in words:
        return []
    start = words.index("(")
    return [definition for definition in split_list(tokens[start + 1 : closing(tokens, start)]) if definition]


def without_query(tokens: list[Token]) -> list[Token]:
    """Return the tokens before the AS of a CREATE TABLE AS; otherwise all tokens."""
    depth = 0
    for n, token in enumerate(tokens):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "AS" and depth == 0:
            return tokens[:n]
    return tokens


def created_table(statement: list[Token]) -> str:
    """Return the quoted table name in a CREATE TABLE."""
    tokens = code(statement)
    at = index_of_name(tokens)
    parts = [tokens[at].name]
    while [token.word for token in tokens[at + 1 : at + 2]] == ["."]:
        if at + 2 >= len(tokens):
            raise SyntaxRefused("CREATE TABLE needs a name after the dot")
        parts.append(tokens[at + 2].name)
        at += 2
    return ".".join(quote(part) for part in parts[-2:])


def index_of_name(tokens: list[Token]) -> int:
    """Return the index of the name in the tokens of a CREATE TABLE."""
    at = next(i for i, token in enumerate(tokens) if token.word == "TABLE") + 1
    if [token.word for token in tokens[at : at + 3]] == ["IF", "NOT", "EXISTS"]:
        at += 3
    if at >= len(tokens):
        raise SyntaxRefused("CREATE TABLE needs a name")
    return at


def like_table(statement: list[Token]) -> str:
    """Return the quoted table name in (LIKE table); empty if there is no LIKE."""
    for definition in definitions(statement):
        if definition[0].word == "LIKE":
            names = [
                token.name for token in definition[1:] if token.word not in (".", "INCLUDING", "EXCLUDING", "DEFAULTS")
            ]
            return ".".join(quote(name) for name in names[-2:])
    return ""


def split_name(name: str) -> tuple[str, str]:
    """Split a table name into schema (empty if not given) and table."""
    parts = [token.name for token in code(tokenize(name)) if token.word != "."]
    return (parts[-2] if len(parts) > 1 else ""), parts[-1]


def altered_table(statement: list[Token]) -> str:
    """Return the table name in an ALTER TABLE; empty for other statements."""
    tokens = code(statement)
    return _name_at(tokens, 2) if [token.word for token in tokens[:2]] == ["ALTER", "TABLE"] else ""


def analyzed_table(statement: list[Token]) -> str:
    """Return the table name in an ANALYZE; empty if it analyzes the whole database."""
    tokens = [token for token in code(statement) if token.word != "VERBOSE"]
    return _name_at(tokens, 1) if len(tokens) > 1 else ""


def _name_at(tokens: list[Token], at: int) -> str:
    end = at + 3 if len(tokens) > at + 1 and tokens[at + 1].word == "." else at + 1
    return "".join(map(name_text, tokens[at:end]))


def is_late_binding(statement: list[Token]) -> bool:
    """Return whether a statement creates a late-binding view."""
    return [token.word for token in code(statement)[-4:]] == _NO_SCHEMA_BINDING


def created_view(statement: list[Token]) -> str:
    """Return the quoted view name in a CREATE VIEW."""
    names, _ = name_and_columns(code(statement))
    at = next(i for i, token in enumerate(names) if token.word == "VIEW") + 1
    return "".join(quote(token.name) if token.word != "." else "." for token in names[at:])


def late_binding_query(statement: list[Token]) -> str:
    """Return a late-binding view's query, with the view's column names if given."""
    start = next(i for i, token in enumerate(statement) if token.word == "AS")
    query = without_binding(statement[start + 1 :]).strip()
    _, columns = name_and_columns(code(statement[:start]))
    return f"SELECT * FROM ({query}) AS named {text(spaced(columns))}" if columns else query


def name_and_columns(head: list[Token]) -> tuple[list[Token], list[Token]]:
    """Split the tokens before AS in two: up to the name, and the column list."""
    end = next((i for i, token in enumerate(head) if token.word in ("(", "AS")), len(head))
    columns = head[end : closing(head, end) + 1] if end < len(head) and head[end].word == "(" else []
    return head[:end], columns


def without_binding(query: list[Token]) -> str:
    """Return a late-binding view's query as text, without WITH NO SCHEMA BINDING."""
    indices = code_indices(query)
    return text(query[: indices[-4]])
