"""Whether somebody is at a terminal."""

from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; where it is closed, Python has None in its place."""
    return stream is not None and stream.isatty()
