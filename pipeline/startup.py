"""Imported by the scripts before all else: until the rest is there, what goes wrong is one line, too.

Importing this does nothing unless a script of this project is what was started.
"""

# as few as can be before the handlers are there: what takes long to load comes after them
import os
import signal
import sys

SCRIPTS = ("create_tables.py", "etl.py")
NEEDED = ("psycopg2", "boto3", "certifi", "rich", "obstore")


def _started_script() -> str | None:
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
            "environment (. .venv/bin/activate), or make it as README.md says (pip install -r requirements.txt)"
        )


def _prepare() -> None:
    script = _started_script()
    if script is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        _check_packages(script)


_prepare()
