"""Trying again what failed for a reason that passes: the connection, a conflict, S3 that is busy."""

import functools
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2

from common import CommitUnanswered, database_message, has_landed, is_connection_lost
from config import Config, PipelineError, Unreachable

WAITS = (1, 3, 10)  # seconds before the second, third and fourth try

# A conflict with another transaction: PostgreSQL has a code for it, Redshift an error called 1023 or, with
# snapshot isolation, a sentence. https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
_CONFLICT_CODE = "40001"
_CONFLICT = re.compile(r"\A(?:ERROR: *)?1023\b|Serializable isolation violation|conflict with concurrent transaction")

# S3 asks to slow down. https://docs.aws.amazon.com/redshift/latest/dg/s3serviceexception-error.html
_BUSY_S3 = re.compile(r"S3ServiceException:[^\n]*,Status 503,")


def is_transient(error: Exception) -> bool:
    """Whether the same run may well succeed a little later: nothing that has to be mended first."""
    if isinstance(error, (Unreachable, CommitUnanswered)):
        return True
    if not isinstance(error, psycopg2.Error):
        return False
    text = str(error)
    return (
        is_connection_lost(error)
        or error.pgcode == _CONFLICT_CODE
        or bool(_CONFLICT.search(text) or _BUSY_S3.search(text))
    )


def persistent(main: Callable[..., None]) -> Callable[..., None]:
    """`main`, whole and from its start, again after each transient failure; each is said, the last raised.

    That is safe for a main that changes all or nothing and that, run twice, changes nothing the second time.
    Where only the answer to its commit was lost, it is looked first whether it landed.
    """

    def persistent_main(config: Config, **flags: bool) -> None:
        run = functools.partial(main, config, **flags)
        for number, seconds in enumerate(WAITS, start=2):
            try:
                return run()
            except (PipelineError, psycopg2.Error) as error:
                if not is_transient(error):
                    raise
                if isinstance(error, CommitUnanswered):
                    run = functools.partial(_unless_landed, error.mark, main, config, **flags)
                _say(error, f"trying again in {seconds} s (try {number} of {len(WAITS) + 1})")
            time.sleep(seconds)
        return run()

    return persistent_main


def _unless_landed(mark: str, main: Callable[..., None], config: Config, **flags: bool) -> None:
    if has_landed(config, mark):
        print("the commit had landed, only its answer was lost: everything is loaded")
    else:
        main(config, **flags)


def _say(error: PipelineError | psycopg2.Error, what_next: str) -> None:
    message = database_message(error) if isinstance(error, psycopg2.Error) else error
    print(f"{Path(sys.argv[0]).name}: {message}\n{what_next}", file=sys.stderr, flush=True)
