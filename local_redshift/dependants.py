"""What hangs on a table or view: foreign keys, which are declared and not enforced, and views that are bound late."""

from psycopg2 import extensions

from local_redshift.errors import RedshiftError
from local_redshift.lookup import qualified
from local_redshift.sql import Token, code, references, split_list, tokenize

_NOTE = """
INSERT INTO local_redshift.foreign_keys (child, parent, name)
SELECT child, parent, %(name)s
FROM (SELECT to_regclass(%(child)s)::oid AS child, to_regclass(%(parent)s)::oid AS parent) AS given
WHERE child IS NOT NULL AND parent IS NOT NULL AND NOT EXISTS (
    SELECT FROM local_redshift.foreign_keys AS noted
    WHERE noted.child = given.child AND noted.parent = given.parent AND noted.name = %(name)s
)
"""
# a constraint that was given no name has one that nobody here knows
_FORGET = """
DELETE FROM local_redshift.foreign_keys
WHERE child = to_regclass(%s) AND name IN ('', %s)
"""
_CHILDREN = """
SELECT parent::regclass::text
FROM local_redshift.foreign_keys
JOIN pg_class ON pg_class.oid = child
WHERE parent = to_regclass(%s) AND child <> parent AND NOT child = ANY (
    SELECT to_regclass(dropped) FROM unnest(%s) AS dropped
)
"""
_DROP_VIEW = """
DELETE FROM local_redshift.late_binding_views
WHERE view_name = %s AND schema_name = coalesce(%s, current_schema())
"""


class StillReferenced(RedshiftError):
    """A table that a foreign key of another leads to."""

    sqlstate = "2BP01"


def note_references(cursor: extensions.cursor, table: str, statement: list[Token]) -> None:
    """Note which tables the foreign keys lead to that a statement has declared for `table`."""
    for reference in references(statement):
        parent = qualified(reference.schema, reference.table)
        cursor.execute(_NOTE, {"child": table, "parent": parent, "name": reference.name})


def forget_references(cursor: extensions.cursor, table: str, statement: list[Token]) -> None:
    """Forget the foreign key that an ALTER TABLE ... DROP CONSTRAINT takes back."""
    tokens = code(statement)
    at = [token.word for token in tokens].index("CONSTRAINT") + 1
    if at < len(tokens):
        cursor.execute(_FORGET, [table, tokens[at].name])


def check_drop(cursor: extensions.cursor, statement: list[Token]) -> None:
    """Raise StillReferenced where a DROP TABLE is of one that a foreign key leads to.

    https://docs.aws.amazon.com/redshift/latest/dg/r_DROP_TABLE.html: CASCADE drops the constraints, too.
    """
    if "CASCADE" in [token.word for token in statement]:
        return
    names = [qualified(schema, name) for schema, name in dropped(statement)]
    for name in names:
        cursor.execute(_CHILDREN, [name, names])
        found = cursor.fetchone()
        if found is not None:
            raise StillReferenced(f"cannot drop table {found[0]} because other objects depend on it")


def drop_late_binding_views(cursor: extensions.cursor, statement: list[Token]) -> list[Token]:
    """Drop the views of a DROP VIEW that are bound late; the statement for the others, nothing where there are none."""
    others = []
    for schema, name in dropped(statement):
        cursor.execute(_DROP_VIEW, [name, schema or None])
        if cursor.rowcount == 0:
            others.append(qualified(schema, name))
    words = [token.word for token in code(statement)]
    options = " IF EXISTS" if words[2:4] == ["IF", "EXISTS"] else ""
    behaviour = f" {words[-1]}" if words[-1] in ("CASCADE", "RESTRICT") else ""
    return tokenize(f"DROP VIEW{options} {', '.join(others)}{behaviour}") if others else []


def dropped(statement: list[Token]) -> list[tuple[str, str]]:
    """Schema and name of each that a DROP is of."""
    tokens = code(statement)[2:]
    if [token.word for token in tokens[:2]] == ["IF", "EXISTS"]:
        tokens = tokens[2:]
    listed = split_list([token for token in tokens if token.word not in ("CASCADE", "RESTRICT")])
    names = [[part.name for part in one if part.word != "."] for one in listed]
    return [(parts[-2] if len(parts) > 1 else "", parts[-1]) for parts in names if parts]
