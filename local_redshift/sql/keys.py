"""Keys, which Redshift checks where they are declared and never after.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html
"""

from typing import NamedTuple

from local_redshift.errors import NoSuchColumn, NoSuchTable, SyntaxRefused
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.table_statements import index_of_name, without_query
from local_redshift.sql.tokens import Token, closing, code


class Reference(NamedTuple):
    """The table that a foreign key leads to, and its columns where they are named."""

    schema: str
    table: str
    columns: tuple[str, ...]
    name: str = ""


def references(statement: list[Token]) -> list[Reference]:
    """The foreign keys that a CREATE TABLE or ALTER TABLE declares."""
    tokens = code(statement)
    found = []
    for n, token in enumerate(tokens):
        if token.word == "REFERENCES" and n + 1 < len(tokens):
            parts, at = [tokens[n + 1].name], n + 2
            while at + 1 < len(tokens) and tokens[at].word == ".":
                parts.append(tokens[at + 1].name)
                at += 2
            columns: tuple[str, ...] = ()
            if at < len(tokens) and tokens[at].word == "(":
                columns = tuple(one.name for one in tokens[at + 1 : closing(tokens, at)] if one.word != ",")
            found.append(
                Reference(parts[-2] if len(parts) > 1 else "", parts[-1], columns, _constraint_name(tokens[:n]))
            )
    return found


def _constraint_name(before: list[Token]) -> str:
    """The name that a CONSTRAINT gives the key whose REFERENCES stands after these tokens; empty without one."""
    depth = 0
    for n in range(len(before) - 1, -1, -1):
        depth += (before[n].word == ")") - (before[n].word == "(")
        if depth < 0 or (depth == 0 and before[n].word == ","):
            return ""
        if depth == 0 and before[n].word == "CONSTRAINT":
            return before[n + 1].name
    return ""


def check_keys(statement: list[Token], catalog: Catalog) -> None:
    """Raise NoSuchTable or NoSuchColumn where a foreign key leads nowhere, SyntaxRefused where keys contradict."""
    tokens = code(statement)
    is_created = tokens[0].word == "CREATE"
    own = _own_name(tokens)
    for schema, table, columns, _ in references(statement):
        if is_created and (schema, table) in (own, ("", own[1])):
            continue
        known = catalog.columns(schema, table)
        if known is None:
            raise NoSuchTable(f'relation "{table}" does not exist')
        for column in columns:
            if column not in known:
                raise NoSuchColumn(f'column "{column}" referenced in foreign key constraint does not exist')
    if is_created:
        _check_attributes([token.word for token in without_query(tokens)])


def _own_name(tokens: list[Token]) -> tuple[str, str]:
    at = index_of_name(tokens) if tokens[0].word == "CREATE" else 2
    if at + 2 < len(tokens) and tokens[at + 1].word == ".":
        return tokens[at].name, tokens[at + 2].name
    return "", tokens[at].name


def _check_attributes(words: list[str]) -> None:
    """Attributes of a table that can't stand together (guess: the guide gives each once)."""
    text = f" {' '.join(words)} "
    if words.count("DISTKEY") > 1:
        raise SyntaxRefused("only one DISTKEY can be given")
    if "DISTKEY" in words and (" DISTSTYLE ALL " in text or " DISTSTYLE EVEN " in text):
        raise SyntaxRefused("DISTKEY can't be given with DISTSTYLE ALL or EVEN")
    if words.count("SORTKEY") > 1:
        raise SyntaxRefused("SORTKEY can be given once: as SORTKEY (a, b) for several columns")
    if text.count(" PRIMARY KEY ") > 1:
        raise SyntaxRefused("a table has one PRIMARY KEY")
