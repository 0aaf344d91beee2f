"""Exceptions that end a run; each carries the message shown to the user.

BaseException
├── Stopped                     the user ended the run with Ctrl-C or SIGTERM
└── Exception
    └── PipelineError           an error that the user can fix
        ├── Unreachable         the warehouse, or S3, did not answer
        ├── StatementFailed     the warehouse refused a statement
        │   └── CopyFailed      COPY rejected records
        └── CommitUnanswered    the answer to a commit was lost
"""

import psycopg2


class Stopped(BaseException):
    """The user ended the run. A BaseException, so `except Exception` misses it."""


class PipelineError(Exception):
    """A user-fixable error; the message says what failed, where, and what to do next."""


class Unreachable(PipelineError):
    """The warehouse refused the connection or S3 did not answer; a retry may succeed."""


class StatementFailed(PipelineError):
    """The warehouse refused a statement.

    `cause` is the driver's error; `is_transient` tells whether a retry may succeed.
    """

    def __init__(self, message: str, cause: psycopg2.Error, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.is_transient = is_transient


class CopyFailed(StatementFailed):
    """COPY rejected records; the system tables list them."""


class CommitUnanswered(PipelineError):
    """The connection was lost during a commit, which may or may not have landed.

    `mark` identifies the load in the warehouse.
    """

    def __init__(self, message: str, mark: str = "") -> None:
        super().__init__(message)
        self.mark = mark
