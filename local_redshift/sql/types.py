"""Casts, and the supported types.

https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html
"""

from sqlglot import exp

from local_redshift.errors import not_in_redshift, not_supported
from local_redshift.sql.catalog import ColumnType

D = exp.DType

# the types that a cast can name, by what PostgreSQL calls them
POSTGRES_TYPES = {
    D.SMALLINT: "int2",
    D.INT: "int4",
    D.BIGINT: "int8",
    D.FLOAT: "float4",
    D.DOUBLE: "float8",
    D.BOOLEAN: "bool",
    D.DATE: "date",
    D.TIMESTAMP: "timestamp",
    D.DATETIME: "timestamp",
    D.TIMESTAMPTZ: "timestamptz",
    D.TIME: "time",
    D.TIMETZ: "timetz",
    D.INTERVAL: "interval",
    D.SUPER: "jsonb",
    D.NAME: "name",
    D.VARCHAR: "varchar",
    D.NVARCHAR: "varchar",
    D.TEXT: "varchar",
    D.CHAR: "bpchar",
    D.NCHAR: "bpchar",
    D.BPCHAR: "bpchar",
    D.VARBINARY: "bytea",
    D.BINARY: "bytea",
}
_NOT_SUPPORTED = {
    D.GEOMETRY: "GEOMETRY",
    D.GEOGRAPHY: "GEOGRAPHY",
    D.HLLSKETCH: "HLLSKETCH",
}


def text_of(node: exp.Expr) -> exp.Expr:
    """Convert an expression to text, as Redshift does for an argument of type text."""
    if isinstance(node, exp.Literal) and node.is_string:
        return node
    return exp.Cast(this=node, to=exp.Var(this="pg_catalog.text"))


def cast(node: exp.Cast, source: ColumnType | None) -> None:
    """Make a cast behave as in Redshift. Raise NotSupported for a type that Redshift does not have."""
    to = node.to
    if isinstance(to, exp.Var):
        return  # one of ours
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
        if sizes:  # a longer value is cut, as in r_VARBYTE_type.html
            value = exp.Anonymous(this="substr", expressions=[value, *map(exp.Literal.number, ("1", sizes[0]))])
        node.replace(value)
        return
    elif name is not None and not to.args.get("nested"):
        node.set("to", exp.Var(this=f"pg_catalog.{name}"))  # with the schema, since a table may have a type's name
    elif to.this in _NOT_SUPPORTED:
        raise not_supported(f"the type {_NOT_SUPPORTED[to.this]}")
    else:
        raise not_in_redshift(f"the type {to.sql(dialect='postgres')}")
    if isinstance(node, exp.TryCast):
        _try(node)


def _to_text(node: exp.Cast, name: str, sizes: list[str]) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html: without a length, as long as the value
    if sizes and sizes[0].isdigit():
        if not isinstance(node.this, exp.Null):
            shortened = exp.Anonymous(
                this="local_redshift.cut", expressions=[text_of(node.this.copy()), exp.Literal.number(sizes[0])]
            )
            node.set("this", shortened)
        name += f"({sizes[0]})"
    node.set("to", exp.Var(this=f"pg_catalog.{name}"))


def _to_decimal(node: exp.Cast, sizes: list[str], source: ColumnType | None) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html: (18,0), and a column's value is truncated
    # to the scale
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
    # the value is checked as text, before the cast: PostgreSQL evaluates constants early, and would fail
    value = exp.Case(ifs=[exp.If(this=is_castable, true=text_of(node.this.copy()))])
    node.replace(exp.Cast(this=value, to=node.args["to"].copy()))
