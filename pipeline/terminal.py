"""Whether somebody is at a terminal, and what a script has to say there."""

import sys
import time
from pathlib import Path
from typing import TextIO

_stamped: set[int] = set()  # the streams whose lines begin with the time, by their file descriptors


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; where it is closed, Python has None in its place."""
    return stream is not None and stream.isatty()


def now() -> str:
    """The time, as lines and reports have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def stamp_lines() -> None:
    """From now on begin each line with the time where nobody is at a terminal, so that a log can be read later."""
    _stamped.update(number for number, stream in ((1, sys.stdout), (2, sys.stderr)) if not is_terminal(stream))


def say(text: str, *, with_time: bool = False) -> None:
    """Print a line or several, out at once where the output goes to a file or a pipe, too."""
    print(_with_time(text) if with_time or 1 in _stamped else text, flush=True)


def complain(message: str, status: int = 1) -> int:
    """Print a message with the script's name on stderr; the exit status to end with."""
    warn(f"{Path(sys.argv[0]).name}: {message}")
    return status


def warn(text: str) -> None:
    """Print a line or several on stderr."""
    print(_with_time(text) if 2 in _stamped else text, file=sys.stderr, flush=True)


def _with_time(text: str) -> str:
    return "\n".join(f"{now()}  {line}".rstrip() for line in text.split("\n"))
