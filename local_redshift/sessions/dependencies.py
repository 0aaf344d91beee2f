"""Refuse to drop referenced tables, although foreign keys are not enforced."""

import json

from local_redshift.errors import RedshiftError
from local_redshift.sessions.backend import Backend
from local_redshift.sessions.catalog import qualified
from local_redshift.sql import Token, code, split_list

_CHILDREN = """
SELECT parent::regclass::text
FROM local_redshift.keys
JOIN pg_catalog.pg_class ON pg_class.oid = tbl
WHERE kind = 'f' AND parent = to_regclass($1) AND tbl <> parent AND NOT tbl IN (
    SELECT to_regclass(dropped)::oid
    FROM json_array_elements_text($2) AS dropped
    WHERE to_regclass(dropped) IS NOT NULL
)
"""


class StillReferenced(RedshiftError):
    """Another table's foreign key references the table to be dropped."""

    sqlstate = "2BP01"


def check_drop(backend: Backend, statement: list[Token]) -> None:
    """Raise StillReferenced if a foreign key references a table to be dropped.

    https://docs.aws.amazon.com/redshift/latest/dg/r_DROP_TABLE.html: CASCADE also drops the constraints.
    """
    if "CASCADE" in [token.word for token in statement]:
        return
    names = [qualified(schema, name) for schema, name in dropped(statement)]
    for name in names:
        found = backend.prepared_query(_CHILDREN, name, json.dumps(names))
        if found:
            raise StillReferenced(f"cannot drop table {found[0][0]} because other objects depend on it")


def dropped(statement: list[Token]) -> list[tuple[str, str]]:
    """Return the schema and name of each object in a DROP."""
    tokens = code(statement)[2:]
    if [token.word for token in tokens[:2]] == ["IF", "EXISTS"]:
        tokens = tokens[2:]
    listed = split_list([token for token in tokens if token.word not in ("CASCADE", "RESTRICT")])
    names = [[part.name for part in one if part.word != "."] for one in listed]
    return [(parts[-2] if len(parts) > 1 else "", parts[-1]) for parts in names if parts]
