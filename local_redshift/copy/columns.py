"""The columns that a COPY fills, and the error for a value that a column rejects."""

from dataclasses import dataclass

INTEGER_RANGES = {  # by type: its name in messages, minimum and maximum
    "int2": ("Short", -(2**15), 2**15 - 1),
    "int4": ("Integer", -(2**31), 2**31 - 1),
    "int8": ("Long", -(2**63), 2**63 - 1),
}
MOST_BYTES = 4  # of a character in UTF-8, at most


class ValueRefused(Exception):
    """A value that its column rejects: Redshift's error code and reason.

    `shows_value` tells whether the load error has the value in raw_field_value. The guide says that it always has, but
    rows of clusters show that two errors of JSON loads do not.
    """

    def __init__(self, code: int, reason: str, shows_value: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.shows_value = shows_value


@dataclass(frozen=True)
class Column:
    """A column that a COPY fills. `type` is PostgreSQL's internal name, `length` bytes."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    not_null: bool = False

    @property
    def shown_type(self) -> str:
        """The type as stl_load_errors shows it (cut to 10 characters there)."""
        return {"bpchar": "char", "jsonb": "super", "bytea": "varbyte"}.get(self.type, self.type)

    @property
    def shown_length(self) -> str:
        """The length as stl_load_errors shows it: "256", "0" and "18, 0" were seen."""
        return f"{self.precision}, {self.scale}" if self.type == "numeric" else str(self.length)


def surely_fits(text: str, length: int) -> bool:
    """Tell whether a string fits into `length` bytes, whatever its characters are."""
    return len(text) * MOST_BYTES <= length
