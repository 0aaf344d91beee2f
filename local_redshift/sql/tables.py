"""Redshift's CREATE TABLE and ALTER TABLE for PostgreSQL: types, attributes, keys that are not enforced.

https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html
"""

from local_redshift.errors import NotSupported
from local_redshift.sql.tokens import Token, closing, code, split_list, text

MAX_VARCHAR = 65535  # bytes
MAX_CHAR = 4096
MAX_PRECISION = 38

# Redshift's name: PostgreSQL's. Types with a length or a precision are below.
PLAIN_TYPES = {
    "SMALLINT": "smallint",
    "INT2": "smallint",
    "INTEGER": "integer",
    "INT": "integer",
    "INT4": "integer",
    "BIGINT": "bigint",
    "INT8": "bigint",
    "REAL": "real",
    "FLOAT4": "real",
    "DOUBLE PRECISION": "double precision",
    "FLOAT8": "double precision",
    "FLOAT": "double precision",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIME": "time",
    "TIME WITHOUT TIME ZONE": "time",
    "SUPER": "jsonb",
}
# the length where none is given, in bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
TEXT_TYPES = {
    "VARCHAR": ("varchar", 256),
    "CHARACTER VARYING": ("varchar", 256),
    "NVARCHAR": ("varchar", 256),
    "TEXT": ("varchar", 256),
    "CHAR": ("char", 1),
    "CHARACTER": ("char", 1),
    "NCHAR": ("char", 1),
    "BPCHAR": ("char", 256),
}
DECIMAL_TYPES = ("DECIMAL", "NUMERIC", "DEC")

# A length counts bytes; PostgreSQL's counts characters, so a check stands beside it. Blanks past the
# length are let through, as Redshift cuts them. What raises Redshift's error is only called to do so.
_BYTES_CHECK = (
    "CONSTRAINT {check} CHECK ((octet_length({column}) <= {n}) IS NOT FALSE "
    "OR octet_length(rtrim({column})) <= {n} OR local_redshift.too_long('{type}'))"
)

_TABLE_ATTRIBUTES = "DISTSTYLE DISTKEY SORTKEY COMPOUND INTERLEAVED ENCODE BACKUP".split()


def create_table(statement: list[Token]) -> list[Token]:
    """CREATE TABLE with columns, LIKE or AS, without what only a cluster has."""
    tokens = code(statement)
    name_at = _index_of_name(tokens)
    head, rest = tokens[: name_at + 1], tokens[name_at + 1 :]
    while rest and rest[0].word == ".":
        head, rest = head + rest[:2], rest[2:]
    definitions: list[Token] = []
    if rest and rest[0].word == "(":
        end = closing(rest, 0)
        definitions, rest = rest[: end + 1], rest[end + 1 :]
    rest = _without_table_attributes(rest)
    if rest:
        return [*_spaced(head), *_spaced(definitions), *_query_of(statement)]
    return _spaced(head) + [Token("word", _definitions(definitions))]


def created_table(statement: list[Token]) -> str:
    """The name, as SQL, of the table that a CREATE TABLE makes."""
    tokens = code(statement)
    at = _index_of_name(tokens)
    end = at + 3 if tokens[at + 1 : at + 2] and tokens[at + 1].word == "." else at + 1
    return text(tokens[at:end])


def _index_of_name(tokens: list[Token]) -> int:
    at = next(i for i, token in enumerate(tokens) if token.word == "TABLE") + 1
    if [token.word for token in tokens[at : at + 3]] == ["IF", "NOT", "EXISTS"]:
        at += 3
    if at < len(tokens) and tokens[at].word == "#":
        raise NotSupported("the local stand-in does not take #names: write CREATE TEMP TABLE")
    return at


def _spaced(tokens: list[Token]) -> list[Token]:
    return [part for token in tokens for part in (token, Token("space", " "))]


def _query_of(statement: list[Token]) -> list[Token]:
    """What follows the AS of a CREATE TABLE ... AS, with it."""
    depth = 0
    for i, token in enumerate(statement):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "AS" and depth == 0:
            return statement[i:]
    return []


def _without_table_attributes(tokens: list[Token]) -> list[Token]:
    """Drop DISTSTYLE, DISTKEY, SORTKEY, ENCODE and BACKUP; what is left starts with AS, or is nothing."""
    while tokens and tokens[0].word != "AS":
        word = tokens[0].word
        if word not in _TABLE_ATTRIBUTES:
            raise NotSupported(f"the local stand-in does not take {tokens[0].text} after the columns of a table")
        tokens = tokens[1:]
        if tokens and tokens[0].word == "(":
            tokens = tokens[closing(tokens, 0) + 1 :]
        elif word in ("DISTSTYLE", "ENCODE", "BACKUP") or (word == "SORTKEY" and tokens and tokens[0].word == "AUTO"):
            tokens = tokens[1:]
    return tokens


def _definitions(tokens: list[Token]) -> str:
    columns: list[str] = []
    not_null: set[str] = set()
    for definition in split_list(tokens[1:-1]):
        if not definition:
            raise NotSupported("a column definition is empty: is there a comma too many?")
        word = definition[0].word
        if word in ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT", "CHECK"):
            not_null |= _table_constraint(definition)
        elif word == "LIKE":
            columns.append(text(_spaced(definition)))
        else:
            columns.append(column(definition))
    # a primary key is not enforced, but its columns are NOT NULL
    columns = [c + (" NOT NULL" if c.split(" ", 1)[0] in not_null else "") for c in columns]
    return "(" + ", ".join(columns) + ")"


def _table_constraint(definition: list[Token]) -> set[str]:
    words = [token.word for token in definition]
    if "CHECK" in words or "EXCLUDE" in words:
        raise NotSupported("Redshift has no CHECK or EXCLUDE constraints, so the stand-in refuses them")
    if "PRIMARY" not in words:
        return set()
    start = words.index("(")
    listed = definition[start + 1 : closing(definition, start)]
    return {quote(token.name) for token in listed if token.word != ","}


def quote(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def column(definition: list[Token]) -> str:
    """One column definition for PostgreSQL. Raise NotSupported, naming it, for what is not taken."""
    name = quote(definition[0].name)
    sql_type, check, rest = _column_type(name, definition[1:])
    return " ".join([name, sql_type, *_column_attributes(rest), *check])


def _column_type(name: str, tokens: list[Token]) -> tuple[str, list[str], list[Token]]:
    """The type, the check on its bytes if it has a length, and the tokens after it."""
    for count in (4, 3, 2, 1):
        words = " ".join(token.word for token in tokens[:count])
        rest = tokens[count:]
        if words in PLAIN_TYPES:
            return PLAIN_TYPES[words], [], rest
        if words in TEXT_TYPES:
            base, length = TEXT_TYPES[words]
            arguments, rest = _arguments(rest)
            limit = MAX_CHAR if base == "char" else MAX_VARCHAR
            if arguments:
                length = limit if arguments[0].word == "MAX" else _number(arguments[0], limit, words)
            return f"{base}({length})", [_bytes_check(name, base, length)], rest
        if words in DECIMAL_TYPES:
            arguments, rest = _arguments(rest)
            precision = _number(arguments[0], MAX_PRECISION, words) if arguments else 18
            scale = _number(arguments[2], precision, words, least=0) if len(arguments) > 2 else 0
            return f"numeric({precision},{scale})", [], rest
    named = tokens[0].text if tokens else "(nothing)"
    raise NotSupported(f"column {name}: the local stand-in does not take the type {named}")


def _arguments(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    if tokens and tokens[0].word == "(":
        end = closing(tokens, 0)
        return tokens[1:end], tokens[end + 1 :]
    return [], tokens


def _number(token: Token, limit: int, sql_type: str, least: int = 1) -> int:
    if token.kind != "number" or not token.text.isdigit() or not least <= int(token.text) <= limit:
        raise NotSupported(f"{sql_type}({token.text}): Redshift takes {least} to {limit}, or MAX for text")
    return int(token.text)


def _bytes_check(name: str, base: str, length: int) -> str:
    full_name = {"varchar": "character varying", "char": "character"}[base]
    return _BYTES_CHECK.format(check=quote(f"{name[1:-1]}_bytes"), column=name, n=length, type=f"{full_name}({length})")


def _column_attributes(tokens: list[Token]) -> list[str]:
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
            _, tokens = _arguments(tokens[2:])
        elif words[0] == "IDENTITY":
            attribute, tokens = _identity("ALWAYS", tokens[1:])
            attributes.append(attribute)
        elif words[:5] == ["GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"]:
            attribute, tokens = _identity("BY DEFAULT", tokens[5:])
            attributes.append(attribute)
        elif words[0] == "DEFAULT":
            attribute, tokens = _default(tokens)
            attributes.append(attribute)
        else:
            raise NotSupported(f"the local stand-in does not take the column attribute {tokens[0].text}")
    return attributes


def _identity(generated: str, tokens: list[Token]) -> tuple[str, list[Token]]:
    # a session takes a thousand numbers at a time: gaps are normal on a cluster too
    arguments, rest = _arguments(tokens)
    seed, step = (text(argument) for argument in split_list(arguments))
    return (
        f"GENERATED {generated} AS IDENTITY "
        f"(MINVALUE {min(int(seed), 0)} START WITH {seed} INCREMENT BY {step} CACHE 1000) NOT NULL"
    ), rest


def _default(tokens: list[Token]) -> tuple[str, list[Token]]:
    """DEFAULT and its expression, which ends where the next attribute starts."""
    following = ("NOT", "NULL", "ENCODE", "DISTKEY", "SORTKEY", "PRIMARY", "UNIQUE", "REFERENCES")
    depth = 0
    end = 2
    while end < len(tokens) and (depth or tokens[end].word not in following):
        depth += (tokens[end].word == "(") - (tokens[end].word == ")")
        end += 1
    return text(_spaced(tokens[:end])), tokens[end:]


def alter_table(statement: list[Token], *, autocommit: bool) -> list[Token]:
    """ALTER TABLE: ADD COLUMN and ALTER COLUMN TYPE with Redshift's types, the rest as it is.

    https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
    """
    tokens = code(statement)
    words = [token.word for token in tokens]
    if "ADD" in words and not {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"} & set(words):
        at = words.index("ADD")
        at += words[at + 1] == "COLUMN"
        return [*_spaced(tokens[: at + 1]), Token("word", column(tokens[at + 1 :]))]
    if "ALTER" in words[1:] and "TYPE" in words:
        return _alter_column_type(tokens, autocommit)
    if {"DISTSTYLE", "DISTKEY", "SORTKEY", "ENCODE"} & set(words):
        return [Token("word", "SELECT WHERE false")]  # where the rows lie has no meaning here
    if {"PRIMARY", "UNIQUE", "FOREIGN"} & set(words):
        raise NotSupported("the local stand-in takes keys in CREATE TABLE only, where they are not enforced")
    return statement


def _alter_column_type(tokens: list[Token], autocommit: bool) -> list[Token]:
    if not autocommit:
        raise NotSupported("ALTER TABLE ALTER COLUMN cannot run inside a transaction block")
    words = [token.word for token in tokens]
    at = words.index("TYPE")
    name = quote(tokens[at - 1].name)
    sql_type, check, _ = _column_type(name, tokens[at + 1 :])
    actions = [f"{text(_spaced(tokens[:at]))} TYPE {sql_type}"]
    actions += [f"DROP CONSTRAINT IF EXISTS {quote(name[1:-1] + '_bytes')}", *(f"ADD {c}" for c in check)]
    return [Token("word", ", ".join(actions))]
