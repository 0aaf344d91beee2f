"""Table and sort key of a CREATE TABLE, ALTER TABLE or ANALYZE.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html, r_ALTER_TABLE.html, r_ANALYZE.html
"""

from local_redshift.errors import SyntaxRefused
from local_redshift.sql.tokens import Token, closing, code, quote, split_list, text


def sort_key(statement: list[Token]) -> list[str] | None:
    """Return the columns of the sort key of a statement (none for AUTO and NONE); None if it does not set one."""
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


def without_query(tokens: list[Token]) -> list[Token]:
    """Return the tokens before the AS of a CREATE TABLE AS."""
    depth = 0
    for n, token in enumerate(tokens):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "AS" and depth == 0:
            return tokens[:n]
    return tokens


def created_table(statement: list[Token]) -> str:
    """Return the name, as SQL, of the table that a CREATE TABLE creates."""
    tokens = code(statement)
    at = index_of_name(tokens)
    parts = [tokens[at].name]
    while [token.word for token in tokens[at + 1 : at + 2]] == ["."]:
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


def altered_table(statement: list[Token]) -> str:
    """Return the table of an ALTER TABLE, as SQL; empty for other statements."""
    tokens = code(statement)
    return _name_at(tokens, 2) if [token.word for token in tokens[:2]] == ["ALTER", "TABLE"] else ""


def analyzed_table(statement: list[Token]) -> str:
    """Return the table of an ANALYZE, as SQL; empty if it analyzes the whole database."""
    tokens = [token for token in code(statement) if token.word != "VERBOSE"]
    return _name_at(tokens, 1) if len(tokens) > 1 else ""


def _name_at(tokens: list[Token], at: int) -> str:
    end = at + 3 if len(tokens) > at + 1 and tokens[at + 1].word == "." else at + 1
    return text(tokens[at:end])
