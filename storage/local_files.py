"""Files on this machine. As in S3, a prefix is the beginning of a name, not a folder.

https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-source-s3.html
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def user_path(path: str | Path) -> Path:
    """Return the path with a leading ~ expanded to the user's home folder."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser fails where there is no such user


@contextlib.contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[TextIO]:
    """Write a file atomically: readers see either the old content or what the block writes.

    `mode` is the file's permissions; by default, they follow the umask. Raise OSError on failure.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            yield file
        if mode is not None:
            unfinished.chmod(mode)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def walk(prefix: str) -> Iterator[str]:
    """Yield each file path that begins with `prefix`, in no particular order.

    Links to folders are followed, except those that lead back to a folder above. Raise OSError for a folder that can't
    be listed.
    """
    top = prefix if prefix.endswith("/") else os.path.dirname(prefix) or "."  # noqa: PTH120
    start = len("./") if top == "." and not prefix.startswith(".") else 0

    def refuse(error: OSError) -> None:
        # a folder that is missing, or has just been deleted, has no files
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise error

    for folder, folders, names in os.walk(top, onerror=refuse, followlinks=True):
        above = folder.rstrip("/") + "/"
        # skip folders that can't match, because they may contain many files
        folders[:] = [
            name for name in folders if _may_match(f"{above}{name}/"[start:], prefix) and not _leads_back(above, name)
        ]
        yield from (path for name in names if (path := (above + name)[start:]).startswith(prefix))


def _may_match(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _leads_back(above: str, name: str) -> bool:
    """Tell whether `name` is a link to a folder that contains it."""
    path = above + name
    if not os.path.islink(path):  # noqa: PTH114
        return False
    target = os.path.realpath(path)
    return os.path.commonpath([target, os.path.realpath(above)]) == target
