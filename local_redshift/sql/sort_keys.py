"""Which columns a CREATE TABLE or ALTER TABLE makes a table's sort key, and which table an ANALYZE is of.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html, r_ALTER_TABLE.html, r_ANALYZE.html
"""

from local_redshift.sql.tokens import Token, closing, code, split_list, text


def sort_key(statement: list[Token]) -> list[str] | None:
    """The columns of the sort key that the statement gives a table: none for AUTO and NONE.

    None where the statement is not about a sort key.
    """
    tokens = _without_query(code(statement))
    words = [token.word for token in tokens]
    if "SORTKEY" not in words or "TABLE" not in words[1:4]:
        return None
    at = words.index("SORTKEY") + 1
    if words[at : at + 1] == ["("]:
        return [token.name for token in tokens[at + 1 : closing(tokens, at)] if token.word != ","]
    if words[at : at + 1] in (["AUTO"], ["NONE"]):
        return []
    start = words.index("(")
    columns = split_list(tokens[start + 1 : closing(tokens, start)])
    return [column[0].name for column in columns if any(token.word == "SORTKEY" for token in column[1:])]


def _without_query(tokens: list[Token]) -> list[Token]:
    """The tokens before the AS of a CREATE TABLE AS."""
    depth = 0
    for n, token in enumerate(tokens):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "AS" and depth == 0:
            return tokens[:n]
    return tokens


def altered_table(statement: list[Token]) -> str:
    """The table of an ALTER TABLE, as SQL; empty for another statement."""
    tokens = code(statement)
    return _name_at(tokens, 2) if [token.word for token in tokens[:2]] == ["ALTER", "TABLE"] else ""


def analyzed_table(statement: list[Token]) -> str:
    """The table of an ANALYZE, as SQL; empty where it is of the whole database."""
    tokens = [token for token in code(statement) if token.word != "VERBOSE"]
    return _name_at(tokens, 1) if len(tokens) > 1 else ""


def _name_at(tokens: list[Token], at: int) -> str:
    end = at + 3 if len(tokens) > at + 1 and tokens[at + 1].word == "." else at + 1
    return text(tokens[at:end])
