"""Startup checks, imported first: even an early failure prints one line instead of a traceback.

Importing this module has no effect unless the program is one of the project's scripts.
"""

# as few imports as possible before the signal handlers are set; slow ones come later
import os
import signal
import sys

SCRIPTS = ("create_tables.py", "etl.py")
OLDEST_PYTHON = (3, 10)
NEEDED = ("psycopg2", "boto3", "certifi", "rich", "obstore")


def _started_script() -> "str | None":  # quoted, so that an older Python gets as far as the version check
    started = getattr(sys.modules["__main__"], "__file__", None)
    if started is None:
        return None
    folder, name = os.path.split(os.path.realpath(started))
    ours = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    return name if folder == ours and name in SCRIPTS else None


def _end(number: int, _: object) -> None:
    word = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"{_started_script()}: {word}; nothing was changed\n".encode())
    os._exit(128 + number)


def _check_packages(script: str) -> None:
    import importlib.util

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"{script}: the package {missing[0]} is not installed for {sys.executable}; activate the virtual "
            "environment (. .venv/bin/activate), or create it as README.md describes (pip install -r requirements.txt)"
        )


def check_python(program: str) -> None:
    """Exit with a one-line message if this Python is too old for the project."""
    if sys.version_info < OLDEST_PYTHON:
        needed, ours = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        sys.exit(f"{program}: this is Python {ours} ({sys.executable}); Python {needed} or newer is needed")


def _prepare() -> None:
    script = _started_script()
    if script is not None:
        check_python(script)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        _check_packages(script)


_prepare()
