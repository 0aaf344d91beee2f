"""The way back from a line of a packed object to the file it came from."""

import bisect
from array import array
from dataclasses import dataclass, field
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a line came from."""

    file: str
    line: int


@dataclass
class PackedObject:
    """A packed object: its name, and at which line of it each of its files begins."""

    name: str = ""
    starts: "array[int]" = field(default_factory=lambda: array("Q"))  # of hundreds of thousands a list would be large
    files: list[str] = field(default_factory=list)
    lines: int = 0

    def add(self, name: str, data: bytes) -> None:
        """Note a file that goes in next, and whose last line is ended."""
        self.starts.append(self.lines + 1)
        self.files.append(name)
        self.lines += data.count(b"\n")

    def origin(self, line: int) -> Origin | None:
        """The file that a line came from, and which line of it that is; None if there is no such line."""
        if not 1 <= line <= self.lines:
            return None
        at = bisect.bisect_right(self.starts, line) - 1
        return Origin(self.files[at], line - self.starts[at] + 1)
