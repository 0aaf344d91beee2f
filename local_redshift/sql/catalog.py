"""The interface for looking up tables, columns and views during translation."""

from typing import NamedTuple, Protocol

MAX_VARCHAR = 65535  # bytes
MAX_VARBYTE = 16_777_216  # bytes

TEXT, NUMBER, MOMENT, OTHER = "text", "number", "moment", "other"

_KINDS = {
    **dict.fromkeys(("varchar", "bpchar", "text", "name"), TEXT),
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8", "oid"), NUMBER),
    **dict.fromkeys(("date", "timestamp", "timestamptz", "time", "timetz"), MOMENT),
}
WHOLE = {"int2": 5, "int4": 10, "int8": 19}


class ColumnType(NamedTuple):
    """The type of a column: PostgreSQL's name and, for numeric, precision and scale."""

    name: str
    precision: int | None = None
    scale: int | None = None

    @property
    def kind(self) -> str:
        """The category of the type: text, number, moment (date or time) or other."""
        return _KINDS.get(self.name, OTHER)

    @property
    def as_decimal(self) -> tuple[int, int] | None:
        """Precision and scale, also of integer types; None if unknown.

        https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
        """
        if self.name in WHOLE:
            return WHOLE[self.name], 0
        if self.name == "numeric" and self.precision is not None and self.scale is not None:
            return self.precision, self.scale
        return None


Columns = dict[str, ColumnType]


class Catalog(Protocol):
    """The parts of the server's catalog that translations depend on."""

    @property
    def database(self) -> str:
        """The name of the database."""

    def columns(self, schema: str, table: str) -> Columns | None:
        """Return a relation's columns, or None if it is missing. An empty schema means the search path."""

    def is_view(self, schema: str, name: str) -> bool:
        """Tell whether a view has this name."""

    @property
    def has_late_binding_views(self) -> bool:
        """Whether there are views WITH NO SCHEMA BINDING."""

    def late_binding_view(self, schema: str, view: str) -> str | None:
        """Return a late-binding view's query, or None if there is no such view."""
