"""Translate CREATE TABLE, ALTER TABLE and CREATE VIEW; keys are not enforced.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html, r_CREATE_VIEW.html
"""

from sqlglot import exp

from local_redshift.errors import (
    NoSuchTable,
    NotSupported,
    RedshiftError,
    SyntaxRefused,
    not_in_redshift,
    not_supported,
)
from local_redshift.sql import grammar, refusals
from local_redshift.sql.catalog import Catalog, Columns
from local_redshift.sql.dml import translate_expression, translate_query
from local_redshift.sql.keys import check_key_columns, check_keys
from local_redshift.sql.names import BARE_COLUMNS, RESERVED_AS_NAMES
from local_redshift.sql.relations import cte_named
from local_redshift.sql.system_queries import SYSTEM_PREFIXES
from local_redshift.sql.table_statements import (
    index_of_name,
    is_late_binding,
    name_and_columns,
    split_name,
    without_binding,
    without_query,
)
from local_redshift.sql.tokens import Token, closing, code, name_text, quote, spaced, split_arguments, split_list, text
from local_redshift.sql.types import UNSUPPORTED, column_type

MAX_NAME = 63  # in bytes: PostgreSQL truncates longer names; Redshift allows 127
_NOTHING = "SELECT WHERE false"
_TABLE_ATTRIBUTES = "DISTSTYLE DISTKEY SORTKEY COMPOUND INTERLEAVED ENCODE BACKUP".split()


def create_table(statement: list[Token], catalog: Catalog) -> str:
    """Translate CREATE TABLE; leave out Redshift's distribution and storage options."""
    tokens = code(statement)
    name_at = index_of_name(tokens)
    head, rest = tokens[:name_at], tokens[name_at:]
    name, rest = table_name(rest, catalog)
    definitions: list[Token] = []
    if rest and rest[0].word == "(":
        end = closing(rest, 0)
        definitions, rest = rest[: end + 1], rest[end + 1 :]
    created = f"{_head(head, name)} {name}"
    check_keys(statement, catalog)
    if _without_table_attributes(rest):
        if "EXISTS" in [token.word for token in head]:
            raise not_in_redshift("IF NOT EXISTS in CREATE TABLE AS")
        columns = " ".join(name_text(token) for token in definitions)
        return f"{created} {columns} AS {translate_query(_query_of(statement), catalog)}"
    if not definitions:
        raise SyntaxRefused("CREATE TABLE needs columns")
    return f"{created} {_definitions(definitions, catalog, split_name(name)[1])}"


def _head(tokens: list[Token], name: str) -> str:
    """Return the words before the name, with TEMP added if the name starts with #."""
    words = [token.word for token in tokens]
    if name.startswith('"#') and not {"TEMP", "TEMPORARY"} & set(words):
        words.insert(1, "TEMP")
    return " ".join(words)


def table_name(tokens: list[Token], catalog: Catalog) -> tuple[str, list[Token]]:
    """Return the quoted table name that `tokens` start with, and the remaining tokens."""
    parts = [tokens[0].name] if tokens else [""]
    rest = tokens[1:]
    while len(rest) > 1 and rest[0].word == ".":
        parts.append(rest[1].name)
        rest = rest[2:]
    for part, token in zip(parts, tokens[::2], strict=False):
        if token.kind == "word" and part.upper() in RESERVED_AS_NAMES:
            raise SyntaxRefused(f'syntax error at or near "{part}": it is a reserved word; put it in double quotes')
    if len(parts) == 3:
        if parts[0] != catalog.database:
            raise not_supported(f"tables of another database: {'.'.join(parts)}")
        parts = parts[1:]
    if any(len(part.encode()) > MAX_NAME for part in parts):
        raise not_supported(f"names longer than {MAX_NAME} bytes: {'.'.join(parts)}")
    return ".".join(quote(part) for part in parts), rest


def _query_of(statement: list[Token]) -> list[Token]:
    """Return the tokens after the AS of a CREATE TABLE ... AS."""
    return statement[len(without_query(statement)) + 1 :]


def _without_table_attributes(tokens: list[Token]) -> list[Token]:
    """Drop the table attributes; return the tokens from AS on, if any."""
    while tokens and tokens[0].word != "AS":
        word = tokens[0].word
        if word not in _TABLE_ATTRIBUTES:
            raise NotSupported(f"the local stand-in does not support {tokens[0].text} after the columns of a table")
        tokens = tokens[1:]
        if tokens and tokens[0].word == "(":
            tokens = tokens[closing(tokens, 0) + 1 :]
        elif word in ("DISTSTYLE", "ENCODE", "BACKUP") or (word == "SORTKEY" and tokens and tokens[0].word == "AUTO"):
            tokens = tokens[1:]
    return tokens


def _definitions(tokens: list[Token], catalog: Catalog, table: str) -> str:
    columns: list[str] = []
    not_null: set[str] = set()
    for definition in split_list(tokens[1:-1]):
        if not definition:
            raise NotSupported("a column definition is empty: remove a comma")
        word = definition[0].word
        if word in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT", "CHECK") or _is_exclusion(definition):
            not_null |= _table_constraint(definition)
        elif word == "LIKE":
            columns.append(_like(definition, catalog))
        else:
            columns.append(column(definition, catalog, table))
    # a primary key is not enforced, but its columns are NOT NULL
    columns = [c + (" NOT NULL" if c.split(" ", 1)[0] in not_null else "") for c in columns]
    return "(" + ", ".join(columns) + ")"


def _is_exclusion(definition: list[Token]) -> bool:
    """Return whether this is an EXCLUDE constraint, not a column named exclude."""
    return [token.word for token in definition[:2]] in (["EXCLUDE", "USING"], ["EXCLUDE", "("])


def _like(definition: list[Token], catalog: Catalog) -> str:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html: only INCLUDING or EXCLUDING DEFAULTS may
    # follow the table name. The stand-in adds INCLUDING CONSTRAINTS to copy the parent table's length checks.
    name, rest = table_name(definition[1:], catalog)
    words = [token.word for token in rest]
    if words not in ([], ["INCLUDING", "DEFAULTS"], ["EXCLUDING", "DEFAULTS"]):
        raise not_in_redshift(f"LIKE ... {' '.join(words)}")
    defaults = " INCLUDING DEFAULTS" if words[:1] == ["INCLUDING"] else ""
    return f"LIKE {name} INCLUDING CONSTRAINTS{defaults}"


def _table_constraint(definition: list[Token]) -> set[str]:
    words = [token.word for token in definition]
    if "CHECK" in words or "EXCLUDE" in words:
        raise NotSupported("Redshift has no CHECK or EXCLUDE constraints, so the stand-in refuses them")
    if "PRIMARY" not in words:
        return set()
    start = words.index("(")
    listed = definition[start + 1 : closing(definition, start)]
    return {quote(token.name) for token in listed if token.word != ","}


def column(definition: list[Token], catalog: Catalog, table: str) -> str:
    """Translate a column definition. Raise NotSupported for an unsupported part."""
    first = definition[0]
    if first.kind == "word" and first.word in RESERVED_AS_NAMES and first.word not in BARE_COLUMNS:
        raise SyntaxRefused(f'syntax error at or near "{first.text}": it is a reserved word; put it in double quotes')
    if len(first.name.encode()) > MAX_NAME:
        raise not_supported(f"names longer than {MAX_NAME} bytes: {first.name}")
    name = quote(first.name)
    sql_type, check, rest = column_type(name, definition[1:], table)
    if [token.word for token in rest[:1]] == ["["]:
        raise NotSupported(UNSUPPORTED.format(table=table, column=first.name, type=f"{definition[1].text}[]"))
    return " ".join([name, sql_type, *_column_attributes(rest, sql_type, catalog), *check])


def _column_attributes(tokens: list[Token], sql_type: str, catalog: Catalog) -> list[str]:
    attributes: list[str] = []
    while tokens:
        words = [token.word for token in tokens[:6]]
        if words[:2] == ["NOT", "NULL"] or words[:2] == ["PRIMARY", "KEY"]:
            attributes, tokens = [*attributes, "NOT NULL"], tokens[2:]
        elif words[0] in ("NULL", "UNIQUE", "DISTKEY", "SORTKEY"):
            tokens = tokens[1:]
        elif words[0] == "ENCODE":
            tokens = tokens[2:]
        elif words[0] == "REFERENCES":
            _, tokens = table_name(tokens[1:], catalog)
            _, tokens = split_arguments(tokens)
        elif words[0] == "IDENTITY":
            attribute, tokens = _identity("ALWAYS", tokens[1:], sql_type)
            attributes.append(attribute)
        elif words[:5] == ["GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"]:
            attribute, tokens = _identity("BY DEFAULT", tokens[5:], sql_type)
            attributes.append(attribute)
        elif words[0] == "DEFAULT":
            attribute, tokens = _default(tokens, catalog)
            attributes.append(attribute)
        else:
            raise not_supported(f"the column attribute {tokens[0].text}")
    return attributes


def _identity(generated: str, tokens: list[Token], sql_type: str) -> tuple[str, list[Token]]:
    # with CACHE 1000, a session reserves 1000 numbers at a time, which leaves gaps, as on a cluster
    if sql_type not in ("pg_catalog.int4", "pg_catalog.int8"):
        raise SyntaxRefused("an IDENTITY column must be of type INT or BIGINT")
    arguments, rest = split_arguments(tokens)
    numbers = [text(argument) for argument in split_list(arguments)] if arguments else ["1", "1"]
    try:
        seed, step = (int(number) for number in numbers)
    except ValueError:
        raise SyntaxRefused(f"IDENTITY({', '.join(numbers)}): two whole numbers are expected, seed and step") from None
    if step == 0:
        raise SyntaxRefused("IDENTITY: the step can't be 0")
    bound = f"MINVALUE {min(seed, 0)}" if step > 0 else f"MAXVALUE {max(seed, 0)}"
    return (
        f"GENERATED {generated} AS IDENTITY ({bound} START WITH {seed} INCREMENT BY {step} CACHE 1000) NOT NULL",
        rest,
    )


def _default(tokens: list[Token], catalog: Catalog) -> tuple[str, list[Token]]:
    """Translate DEFAULT and its expression; return them and the remaining tokens."""
    following = ("NOT", "NULL", "ENCODE", "DISTKEY", "SORTKEY", "PRIMARY", "UNIQUE", "REFERENCES")
    depth = 0
    end = 1
    while end < len(tokens) and (depth or end == 1 or tokens[end].word not in following):
        depth += (tokens[end].word == "(") - (tokens[end].word == ")")
        end += 1
    expression = text(spaced(tokens[1:end]))
    return f"DEFAULT ({translate_expression(expression, catalog)})", tokens[end:]


def alter_table(statement: list[Token], catalog: Catalog, *, autocommit: bool) -> str:
    """Translate the forms of ALTER TABLE that Redshift supports.

    https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
    """
    tokens = code(statement)
    name, action = table_name(tokens[2:], catalog)
    words = [token.word for token in action]
    head = f"ALTER TABLE {name}"
    if words[:1] == ["ADD"]:
        return _addition_to_table(head, action, statement, catalog)
    if words[:1] == ["DROP"]:
        return _drop_of_table(head, action)
    if words[:1] == ["RENAME"]:
        if words[1:2] == ["TO"] and len(action) != 3:
            raise SyntaxRefused("ALTER TABLE ... RENAME TO takes a name without a schema")
        return f"{head} {' '.join(name_text(token) for token in action)}"
    if words[:2] == ["OWNER", "TO"]:
        return f"{head} OWNER TO {name_text(action[2])}"
    if words[:1] == ["ALTER"] and "TYPE" in words and "ENCODE" not in words:
        return _alter_column_type(head, action, autocommit)
    if {"DISTSTYLE", "DISTKEY", "SORTKEY", "ENCODE"} & set(words):
        check_key_columns(statement, _columns_of(name, catalog))
        return _NOTHING  # the stand-in does not distribute rows; sessions/utility.py handles sort keys
    if words[:1] == ["APPEND"] or words[:2] in (["SET", "LOCATION"], ["SET", "FILE"], ["SET", "TABLE"]):
        raise not_supported(f"ALTER TABLE {' '.join(words[:1] if words[0] == 'APPEND' else words[:2])}")
    raise not_in_redshift(f"ALTER TABLE ... {' '.join(words)}".rstrip())


def _columns_of(name: str, catalog: Catalog) -> Columns:
    schema, table = split_name(name)
    columns = catalog.columns(schema, table)
    if columns is None:
        raise NoSuchTable(f'relation "{table}" does not exist')
    return columns


def _addition_to_table(head: str, action: list[Token], statement: list[Token], catalog: Catalog) -> str:
    words = [token.word for token in action]
    if "CHECK" in words:
        raise not_in_redshift("CHECK constraints")
    if {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"} & set(words[1:2]):
        check_keys(statement, catalog)
        return _NOTHING  # keys are declared, but not enforced
    definition = action[2:] if words[1:2] == ["COLUMN"] else action[1:]
    if len(split_list(definition)) > 1:
        raise not_in_redshift("several columns in one ALTER TABLE")
    return f"{head} ADD COLUMN {column(definition, catalog, split_name(head.removeprefix('ALTER TABLE '))[1])}"


def _drop_of_table(head: str, action: list[Token]) -> str:
    words = [token.word for token in action]
    if words[1:2] == ["CONSTRAINT"]:
        return _NOTHING
    rest = action[2:] if words[1:2] == ["COLUMN"] else action[1:]
    if len(split_list(rest)) > 1:
        raise not_in_redshift("several columns in one ALTER TABLE")
    if [token.word for token in rest[:2]] == ["IF", "EXISTS"]:
        raise not_in_redshift("DROP COLUMN IF EXISTS")
    return f"{head} DROP COLUMN {' '.join(name_text(token) for token in rest)}"


def _alter_column_type(head: str, action: list[Token], autocommit: bool) -> str:
    if not autocommit:
        raise NotSupported("ALTER TABLE ALTER COLUMN cannot run inside a transaction block")
    words = [token.word for token in action]
    at = words.index("TYPE")
    name = quote(action[at - 1].name)
    sql_type, check, _ = column_type(name, action[at + 1 :], split_name(head.removeprefix("ALTER TABLE "))[1])
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html: only the size of a VARCHAR can change
    if not sql_type.startswith("pg_catalog.varchar"):
        raise not_in_redshift("changing a column's type (except the size of a VARCHAR)")
    actions = [f"{head} ALTER COLUMN {name} TYPE {sql_type}"]
    actions += [f"DROP CONSTRAINT IF EXISTS {quote(name[1:-1] + '_bytes')}", *(f"ADD {c}" for c in check)]
    return ", ".join(actions)


def create_view(statement: list[Token], catalog: Catalog) -> str:
    """Translate CREATE [OR REPLACE] VIEW name [(columns)] AS query."""
    start = next((i for i, token in enumerate(statement) if token.word == "AS"), None)
    if start is None:
        raise SyntaxRefused("CREATE VIEW needs AS and a query")
    head, query = statement[:start], statement[start + 1 :]
    if is_late_binding(statement):
        tree = grammar.parse(without_binding(query))
        refusals.check(list(tree.walk()))
        if any(not table.db and cte_named(table) is None and _is_named(table) for table in tree.find_all(exp.Table)):
            # as seen on a cluster
            raise RedshiftError(
                "All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING."
            )
        names, _ = name_and_columns(code(head))
        # a late-binding view's query is translated when the view is read
        return f"{' '.join(map(name_text, names))} AS SELECT"
    return f"{' '.join(map(name_text, code(head)))} AS {translate_query(query, catalog)}"


def _is_named(table: exp.Table) -> bool:
    """Return whether this is a user's table, not a function or a system table."""
    return isinstance(table.this, exp.Identifier) and not table.name.lower().startswith(SYSTEM_PREFIXES)
