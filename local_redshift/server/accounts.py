"""The account that runs PostgreSQL if the user is root, and its access to folders."""

import contextlib
import fcntl
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from local_redshift.errors import ServerError

SERVER_ACCOUNT = "pgserver"  # PostgreSQL refuses to run as root, so it runs as this account


def make_private_dir(path: Path, account: pwd.struct_passwd | None) -> None:
    """Create the socket folder, accessible only to the server's account."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None and path.stat().st_uid == os.getuid():
        os.chown(path, account.pw_uid, account.pw_gid)
    check_owner(path, account)
    if path.lstat().st_mode & 0o077:
        raise ServerError(f"other users can access {path}, which must be private: chmod 700 {path}")


def check_owner(path: Path, account: pwd.struct_passwd | None) -> None:
    """Raise ServerError if the folder does not belong to the server's account."""
    owner = os.getuid() if account is None else account.pw_uid
    found = path.lstat()
    if path.is_symlink():
        raise ServerError(f"{path} is a link, and the server's folder must not be one: set DATA_DIR to its target")
    if found.st_uid != owner:
        raise ServerError(
            f"{path} belongs to {_user_name(found.st_uid)}, but the server would run as {_user_name(owner)}: "
            "run this as the owner, or set another DATA_DIR in the config file"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def server_account() -> pwd.struct_passwd | None:
    """Return the server's account, created if necessary; None if the user is not root."""
    if os.getuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SERVER_ACCOUNT)
    # one process at a time: concurrent runs of useradd could create the account twice, with different user ids
    with open("/etc/passwd") as accounts:
        fcntl.flock(accounts, fcntl.LOCK_EX)
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SERVER_ACCOUNT)
        _make_account()
    return pwd.getpwnam(SERVER_ACCOUNT)


def _make_account() -> None:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_ACCOUNT]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(
            f"PostgreSQL does not run as root, and the account {SERVER_ACCOUNT} could not be created "
            f"({getattr(error, 'stderr', None) or error}): create it, or run as an ordinary user"
        ) from error


def as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return the subprocess arguments that run a program as the account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def let_account_reach(account: pwd.struct_passwd | None, *paths: Path) -> None:
    """If the user is root, let the server's account traverse the folders that lead to its files.

    Add only the execute permission (x), which does not let anybody list a folder. Report each change on stderr, because
    the folder may belong to somebody else. Only a change to the first path, the stand-in's own folder, is not reported.
    """
    if account is None:
        return
    for path in paths:
        for folder in [path, *path.parents]:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                if folder != paths[0]:
                    _say_chmod(folder, mode, mode | 0o001, account)
                folder.chmod(mode | 0o001)


def _say_chmod(folder: Path, old: int, new: int, account: pwd.struct_passwd) -> None:
    print(
        f"local_redshift: changed the mode of {folder} from {stat.S_IMODE(old):o} to {stat.S_IMODE(new):o}, so that "
        f"the server can traverse it (it runs as {account.pw_name}, because you are root)",
        file=sys.stderr,
        flush=True,
    )
