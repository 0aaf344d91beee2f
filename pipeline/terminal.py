"""Whether somebody is at a terminal, and what a script has to say there."""

import sys
from pathlib import Path
from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; where it is closed, Python has None in its place."""
    return stream is not None and stream.isatty()


def say(line: str) -> None:
    """Print a line, out at once where the output goes to a file or a pipe, too."""
    print(line, flush=True)


def complain(message: str, status: int = 1) -> int:
    """Print a message with the script's name on stderr; the exit status to end with."""
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr, flush=True)
    return status
