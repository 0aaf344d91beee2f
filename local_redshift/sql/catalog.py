"""What a translation has to know of the server, and how it asks."""

from typing import NamedTuple, Protocol

MAX_VARCHAR = 65535  # bytes

TEXT, NUMBER, MOMENT, OTHER = "text", "number", "moment", "other"

_KINDS = {
    **dict.fromkeys(("varchar", "bpchar", "text", "name"), TEXT),
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8", "oid"), NUMBER),
    **dict.fromkeys(("date", "timestamp", "timestamptz", "time", "timetz"), MOMENT),
}
WHOLE = {"int2": 5, "int4": 10, "int8": 19}


class ColumnType(NamedTuple):
    """The type of a column, by PostgreSQL's name, and for numeric its precision and scale."""

    name: str
    precision: int | None = None
    scale: int | None = None

    @property
    def kind(self) -> str:
        """text, number, moment or other."""
        return _KINDS.get(self.name, OTHER)

    @property
    def as_decimal(self) -> tuple[int, int] | None:
        """Precision and scale, also of a whole number; None where they are not known.

        https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
        """
        if self.name in WHOLE:
            return WHOLE[self.name], 0
        if self.name == "numeric" and self.precision is not None and self.scale is not None:
            return self.precision, self.scale
        return None


Columns = dict[str, ColumnType]


class Catalog(Protocol):
    """What the server knows that a statement's translation depends on."""

    @property
    def database(self) -> str:
        """The name of the database."""

    def columns(self, schema: str, table: str) -> Columns | None:
        """The columns of a table or view; None where there is none. An empty schema is the search path."""

    def is_view(self, schema: str, name: str) -> bool:
        """Whether the name is that of a view."""

    @property
    def has_late_binding_views(self) -> bool:
        """Whether there are views made WITH NO SCHEMA BINDING."""

    def late_binding_view(self, schema: str, view: str) -> str | None:
        """The query of a view made WITH NO SCHEMA BINDING; None where there is none."""
