"""Primary, unique and foreign keys: checked when declared, but never enforced.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html
"""

from collections.abc import Collection
from typing import NamedTuple

from local_redshift.errors import NoSuchColumn, NoSuchTable, SyntaxRefused
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.table_statements import (
    altered_table,
    attributes,
    created_table,
    definitions,
    like_table,
    split_name,
    without_query,
)
from local_redshift.sql.tokens import Token, closing, code

PRIMARY, UNIQUE, FOREIGN = "p", "u", "f"  # values of pg_constraint.contype
_SUFFIXES = {PRIMARY: "pkey", UNIQUE: "key", FOREIGN: "fkey"}


class Key(NamedTuple):
    """A key: kind, columns and, if foreign, the referenced schema, table and columns."""

    kind: str
    columns: tuple[str, ...]
    name: str = ""
    schema: str = ""
    table: str = ""
    parent_columns: tuple[str, ...] = ()

    def name_in(self, table: str) -> str:
        """Return the key's name, or the name that PostgreSQL would give it in `table`."""
        columns = () if self.kind == PRIMARY else self.columns
        return self.name or "_".join((table, *columns, _SUFFIXES[self.kind]))


def keys(statement: list[Token]) -> list[Key]:
    """Return the keys that a CREATE TABLE or ALTER TABLE declares."""
    return [key for definition in definitions(statement) for key in _keys(definition)]


def _keys(definition: list[Token]) -> list[Key]:
    """Return the keys in a column definition or table constraint."""
    words = [token.word for token in definition]
    name = definition[words.index("CONSTRAINT") + 1].name if "CONSTRAINT" in words[:-1] else ""
    is_constraint = words[0] in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT")
    column = () if is_constraint else (definition[0].name,)
    found = []
    for n, word in enumerate(words[0 if is_constraint else 1 :], start=0 if is_constraint else 1):
        if word == "REFERENCES" and n + 1 < len(words):
            found.append(_reference(definition, n, name, column or _listed(definition, words.index("("))))
        elif word in ("PRIMARY", "UNIQUE"):
            kind = PRIMARY if word == "PRIMARY" else UNIQUE
            after = n + (2 if kind == PRIMARY else 1)
            found.append(Key(kind, column or _listed(definition, after), name))
    return found


def _reference(definition: list[Token], at: int, name: str, columns: tuple[str, ...]) -> Key:
    parts, at = [definition[at + 1].name], at + 2
    while at + 1 < len(definition) and definition[at].word == ".":
        parts.append(definition[at + 1].name)
        at += 2
    schema = parts[-2] if len(parts) > 1 else ""
    return Key(FOREIGN, columns, name, schema, parts[-1], _listed(definition, at))


def _listed(tokens: list[Token], at: int) -> tuple[str, ...]:
    """Return the names in the parentheses that begin at index `at`, or () if there are none."""
    if [token.word for token in tokens[at : at + 1]] != ["("]:
        return ()
    return tuple(token.name for token in tokens[at + 1 : closing(tokens, at)] if token.word != ",")


def check_keys(statement: list[Token], catalog: Catalog) -> None:
    """Raise NoSuchTable, NoSuchColumn or SyntaxRefused for invalid keys."""
    is_created = code(statement)[0].word == "CREATE"
    own = split_name(created_table(statement) if is_created else altered_table(statement))
    own_columns = _columns(statement) if is_created else catalog.columns(*own)
    if own_columns is None:
        raise NoSuchTable(f'relation "{own[1]}" does not exist')
    for key in keys(statement):
        for column in key.columns:
            if column not in own_columns and not like_table(statement):
                raise NoSuchColumn(f'column "{column}" named in key does not exist')
        if key.kind == FOREIGN:
            is_of_own = is_created and (key.schema, key.table) in (own, ("", own[1]))
            _check_parent(key, own_columns if is_of_own else catalog.columns(key.schema, key.table))
    if is_created:
        _check_attributes([token.word for token in without_query(code(statement))])
        if own_columns and not like_table(statement):
            check_key_columns(statement, own_columns)


def check_key_columns(statement: list[Token], columns: Collection[str]) -> None:
    """Raise NoSuchColumn or SyntaxRefused for invalid distribution or sort keys."""
    given = attributes(statement)
    sort_key = given.sort_key or []
    for column in [*sort_key, *filter(None, [given.distkey])]:
        if column not in columns:
            raise NoSuchColumn(f'column "{column}" named in key does not exist')
        if _is_super(statement, column):
            raise SyntaxRefused(f'column "{column}" is of type SUPER, which neither DISTKEY nor SORTKEY supports')
    if len(set(sort_key)) < len(sort_key):
        raise SyntaxRefused("a column is named twice in SORTKEY")


def _is_super(statement: list[Token], column: str) -> bool:
    return any(
        definition[0].name == column and "SUPER" in [token.word for token in definition[1:2]]
        for definition in definitions(statement)
    )


def _check_parent(key: Key, known: object) -> None:
    if known is None:
        raise NoSuchTable(f'relation "{key.table}" does not exist')
    for column in key.parent_columns:
        if column not in known:  # type: ignore[operator]
            raise NoSuchColumn(f'column "{column}" referenced in foreign key constraint does not exist')


def _columns(statement: list[Token]) -> list[str]:
    """Return the names of the columns that a CREATE TABLE defines."""
    words = ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT", "LIKE")
    return [definition[0].name for definition in definitions(statement) if definition[0].word not in words]


def _check_attributes(words: list[str]) -> None:
    """Raise SyntaxRefused if an attribute is repeated, or conflicts with another. That Redshift does so is a guess."""
    text = f" {' '.join(words)} "
    if words.count("DISTKEY") > 1:
        raise SyntaxRefused("only one DISTKEY can be given")
    if "DISTKEY" in words and (" DISTSTYLE ALL " in text or " DISTSTYLE EVEN " in text):
        raise SyntaxRefused("DISTKEY can't be given with DISTSTYLE ALL or EVEN")
    if words.count("SORTKEY") > 1:
        raise SyntaxRefused("only one SORTKEY can be given; for several columns, use SORTKEY (a, b)")
    if text.count(" PRIMARY KEY ") > 1:
        raise SyntaxRefused("a table has one PRIMARY KEY")
