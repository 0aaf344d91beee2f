"""What can go wrong with a run; each class carries the one message that the user gets.

BaseException
├── Stopped                     somebody ended the run by Ctrl-C or SIGTERM
└── Exception
    └── PipelineError           something the user can mend
        ├── Unreachable         the warehouse, or S3, did not answer
        ├── StatementFailed     the warehouse refused a statement
        │   └── CopyFailed      a COPY met records that it could not load
        └── CommitUnanswered    the answer to a commit was lost
"""

import psycopg2


class Stopped(BaseException):
    """Somebody ended the run; no handler for ordinary errors may catch this."""


class PipelineError(Exception):
    """Something the user can mend; the message says what failed, where, and what to do next."""


class Unreachable(PipelineError):
    """The warehouse did not take the connection, or S3 did not answer, for a reason that may pass."""


class StatementFailed(PipelineError):
    """The warehouse refused a statement. `cause` is the driver's error, `passes` tells whether a retry may succeed."""

    def __init__(self, message: str, cause: psycopg2.Error, *, passes: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.passes = passes


class CopyFailed(StatementFailed):
    """A COPY met records that it could not load; the system tables have rows about them."""


class CommitUnanswered(PipelineError):
    """The connection was lost while the commit was under way, so nobody knows yet whether it landed.

    `mark` is what a load that has landed has left in the warehouse.
    """

    def __init__(self, message: str, mark: str = "") -> None:
        super().__init__(message)
        self.mark = mark
