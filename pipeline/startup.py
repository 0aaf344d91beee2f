"""Imported by the scripts before all else: until the rest is there, what goes wrong is one line, too.

Importing this does nothing unless a script of this project is what was started.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import FrameType

SCRIPTS = ("create_tables.py", "etl.py")
NEEDED = ("psycopg2", "boto3", "certifi", "rich")


def _started_script() -> str | None:
    started = getattr(sys.modules["__main__"], "__file__", None)
    if started is None or Path(started).resolve().parent != Path(__file__).resolve().parent.parent:
        return None
    return Path(started).name if Path(started).name in SCRIPTS else None


def _end(number: int, _: FrameType | None) -> None:
    word = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"{_started_script()}: {word}; nothing was changed\n".encode())
    os._exit(128 + number)


def _prepare() -> None:
    script = _started_script()
    if script is None:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"{script}: the package {missing[0]} is not installed for {sys.executable}; activate the virtual "
            "environment (. .venv/bin/activate), or make it as README.md says (pip install -r requirements.txt)"
        )


_prepare()
