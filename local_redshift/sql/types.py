"""Translate the types of columns and of casts.

https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html
"""

from sqlglot import exp

from local_redshift.errors import NotSupported, not_in_redshift, not_supported
from local_redshift.sql.catalog import MAX_VARBYTE, MAX_VARCHAR, ColumnType
from local_redshift.sql.tokens import Token, quote, split_arguments

D = exp.DType

MAX_CHAR = 4096
MAX_PRECISION = 38

# Redshift's types without a length or precision, with their names in PostgreSQL
PLAIN_TYPES = {
    "SMALLINT": "int2",
    "INT2": "int2",
    "INTEGER": "int4",
    "INT": "int4",
    "INT4": "int4",
    "BIGINT": "int8",
    "INT8": "int8",
    "REAL": "float4",
    "FLOAT4": "float4",
    "DOUBLE PRECISION": "float8",
    "FLOAT8": "float8",
    "FLOAT": "float8",
    "BOOLEAN": "bool",
    "BOOL": "bool",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIME": "time",
    "TIME WITHOUT TIME ZONE": "time",
    "TIMETZ": "timetz",
    "TIME WITH TIME ZONE": "timetz",
    "DATETIME": "timestamp",
    "SUPER": "jsonb",
}
# default lengths in bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
TEXT_TYPES = {
    "VARCHAR": ("varchar", 256),
    "CHARACTER VARYING": ("varchar", 256),
    "NVARCHAR": ("varchar", 256),
    "TEXT": ("varchar", 256),
    "CHAR": ("bpchar", 1),
    "CHARACTER": ("bpchar", 1),
    "NCHAR": ("bpchar", 1),
    "BPCHAR": ("bpchar", 256),
}
# https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
BYTES_TYPES = ("VARBYTE", "VARBINARY", "BINARY VARYING")
DEFAULT_VARBYTE = 64_000
DECIMAL_TYPES = ("DECIMAL", "NUMERIC", "DEC")

# PostgreSQL's type names, keyed by sqlglot type, for casts; the last three types are valid only in casts
POSTGRES_TYPES = {
    exp.DataType.build(name, dialect="redshift").this: postgres_name
    for name, postgres_name in (
        *PLAIN_TYPES.items(),
        *((name, postgres_name) for name, (postgres_name, _) in TEXT_TYPES.items()),
        *((name, "bytea") for name in BYTES_TYPES),
    )
} | {D.BINARY: "bytea", D.INTERVAL: "interval", D.NAME: "name"}
_NOT_SUPPORTED = ("GEOMETRY", "GEOGRAPHY", "HLLSKETCH")

# a cluster's message, from redshift_connector's tests
UNSUPPORTED = 'Column "{table}.{column}" has unsupported type "{type}".'


def text_of(node: exp.Expr) -> exp.Expr:
    """Convert an expression to text, as Redshift does for an argument of type text."""
    if isinstance(node, exp.Literal) and node.is_string:
        return node
    return exp.Cast(this=node, to=exp.Var(this="pg_catalog.text"))


def cast(node: exp.Cast, source: ColumnType | None) -> None:
    """Make a cast behave as in Redshift. Raise NotSupported for a type that Redshift does not have."""
    to = node.to
    if isinstance(to, exp.Var):
        return  # a cast that the translation added
    if isinstance(to, exp.ObjectIdentifier):
        node.set("to", exp.Var(this=f"pg_catalog.{to.name.lower()}"))
        return
    sizes = [size.name.upper() for size in to.expressions]
    name = POSTGRES_TYPES.get(to.this)
    if name in ("varchar", "bpchar"):
        _to_text(node, name, sizes)
    elif to.this == D.DECIMAL:
        _to_decimal(node, sizes, source)
    elif name == "bytea":
        value = exp.Anonymous(this="local_redshift.varbyte", expressions=[node.this.copy()])
        if sizes:  # a longer value is truncated; see r_VARBYTE_type.html
            value = exp.Anonymous(this="substr", expressions=[value, *map(exp.Literal.number, ("1", sizes[0]))])
        node.replace(value)
        return
    elif name is not None and not to.args.get("nested"):
        node.set("to", exp.Var(this=f"pg_catalog.{name}"))  # qualified, since a table may have the same name as a type
    elif to.this.name in _NOT_SUPPORTED:
        raise not_supported(f"the type {to.this.name}")
    else:
        raise not_in_redshift(f"the type {to.sql(dialect='postgres')}")
    if isinstance(node, exp.TryCast):
        _try(node)


def _to_text(node: exp.Cast, name: str, sizes: list[str]) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html: without a length, the cast keeps
    # the whole value
    if sizes and sizes[0].isdigit():
        if not isinstance(node.this, exp.Null):
            shortened = exp.Anonymous(
                this="local_redshift.cut", expressions=[text_of(node.this.copy()), exp.Literal.number(sizes[0])]
            )
            node.set("this", shortened)
        name += f"({sizes[0]})"
    node.set("to", exp.Var(this=f"pg_catalog.{name}"))


def _to_decimal(node: exp.Cast, sizes: list[str], source: ColumnType | None) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html: the default is (18,0), and
    # casting a DECIMAL column truncates its values to the new scale
    precision, scale = sizes[0] if sizes else "18", sizes[1] if len(sizes) > 1 else "0"
    if source is not None and source.name == "numeric" and node.this.find(exp.Column) is not None:
        node.set("this", exp.Anonymous(this="trunc", expressions=[node.this.copy(), exp.Literal.number(scale)]))
    node.set("to", exp.Var(this=f"pg_catalog.numeric({precision},{scale})"))


def _try(node: exp.TryCast) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_TRY_CAST.html: NULL if the value does not fit
    is_castable = exp.Anonymous(
        this="local_redshift.is_castable",
        expressions=[text_of(node.this.copy()), exp.Literal.string(node.args["to"].name)],
    )
    # the cast stays outside the CASE: inside it, PostgreSQL would evaluate a constant cast early and fail
    value = exp.Case(ifs=[exp.If(this=is_castable, true=text_of(node.this.copy()))])
    node.replace(exp.Cast(this=value, to=node.args["to"].copy()))


def column_type(name: str, tokens: list[Token], table: str) -> tuple[str, list[str], list[Token]]:
    """Return the type, its length constraint (if any) and the remaining tokens."""
    for count in (4, 3, 2, 1):
        words = " ".join(token.word for token in tokens[:count])
        rest = tokens[count:]
        if words == "FLOAT" and [token.word for token in rest[:1]] == ["("]:
            # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html: FLOAT(1) to FLOAT(24) are REAL
            arguments, rest = split_arguments(rest)
            size = "float4" if _number(arguments[0], 53, words) <= 24 else "float8"
            return f"pg_catalog.{size}", [], rest
        if words in PLAIN_TYPES:
            return f"pg_catalog.{PLAIN_TYPES[words]}", [], rest
        if words in TEXT_TYPES:
            base, length = TEXT_TYPES[words]
            arguments, rest = split_arguments(rest)
            limit = MAX_CHAR if base == "bpchar" else MAX_VARCHAR
            if arguments:
                length = limit if arguments[0].word == "MAX" else _number(arguments[0], limit, words)
            return f"pg_catalog.{base}({length})", [_bytes_check(name, base, length)], rest
        if words in BYTES_TYPES:
            arguments, rest = split_arguments(rest)
            length = _number(arguments[0], MAX_VARBYTE, words) if arguments else DEFAULT_VARBYTE
            return "pg_catalog.bytea", [_bytes_check(name, "bytea", length)], rest
        if words in DECIMAL_TYPES:
            arguments, rest = split_arguments(rest)
            precision = _number(arguments[0], MAX_PRECISION, words) if arguments else 18
            scale = _number(arguments[2], precision, words, least=0) if len(arguments) > 2 else 0
            return f"pg_catalog.numeric({precision},{scale})", [], rest
    named = " ".join(token.text for token in tokens[:1]) or "(nothing)"
    if named.upper() in (*_NOT_SUPPORTED, "INTERVAL"):
        raise not_supported(f"the type {named}: column {name}")
    raise NotSupported(UNSUPPORTED.format(table=table, column=name[1:-1], type=named))


def _number(token: Token, limit: int, sql_type: str, least: int = 1) -> int:
    if token.kind != "number" or not token.text.isdigit() or not least <= int(token.text) <= limit:
        raise NotSupported(
            f"{sql_type}({token.text}): Redshift accepts {least} to {limit}, or MAX for a character type"
        )
    return int(token.text)


def _bytes_check(name: str, base: str, length: int) -> str:
    """Return a constraint on the length in bytes, as Redshift counts it; PostgreSQL counts characters.

    Trailing blanks of text past the length are allowed, since Redshift truncates them. For any other value that is too
    long, too_long() raises Redshift's error.
    """
    full_name = {"varchar": "character varying", "bpchar": "character", "bytea": "binary varying"}[base]
    blanks = "" if base == "bytea" else f"OR octet_length(rtrim({name})) <= {length} "
    fits = f"(octet_length({name}) <= {length}) IS NOT FALSE {blanks}"
    check = quote(f"{name[1:-1]}_bytes")
    return f"CONSTRAINT {check} CHECK ({fits}OR local_redshift.too_long('{full_name}({length})'))"
