"""Errors of the stand-in.

Exception
├── LocalRedshiftError
│   └── ServerError           the embedded server can't be installed, started or reached
└── RedshiftError             an error as a cluster reports it; sent to the client unchanged
    ├── NotSupported          not supported by the stand-in, or by Redshift itself
    ├── SyntaxRefused         a statement with invalid syntax
    ├── NoSuchColumn
    ├── NoSuchTable
    ├── NoSuchFunction
    ├── AbortedTransaction    a statement in a transaction that has already failed
    ├── NoTransaction         a statement that needs a transaction block, used outside one
    ├── Cancelled             a statement that was cancelled
    └── SourceError           the source of a COPY can't be read
        └── NoSuchObject      ... because it does not exist
"""


class LocalRedshiftError(Exception):
    """The stand-in itself failed; the message says what to do."""


class ServerError(LocalRedshiftError):
    """The embedded server can't be installed, started or reached."""


class RedshiftError(Exception):
    """An error as a cluster reports it. `detail` is the DETAIL block or empty."""

    sqlstate = "XX000"  # nearly all run-time errors in Redshift have this SQLSTATE

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class NotSupported(RedshiftError):
    """An unsupported statement, clause or option; the message names it."""

    sqlstate = "0A000"


class SyntaxRefused(RedshiftError):
    """A statement with invalid syntax."""

    sqlstate = "42601"


class NoSuchColumn(RedshiftError):
    """A column that the table does not have."""

    sqlstate = "42703"


class NoSuchTable(RedshiftError):
    """A table that does not exist."""

    sqlstate = "42P01"


class NoSuchFunction(RedshiftError):
    """An unknown function, or one that does not accept these argument types."""

    sqlstate = "42883"


class AbortedTransaction(RedshiftError):
    """A statement in a transaction that has already failed."""

    sqlstate = "25P02"

    def __init__(self) -> None:
        super().__init__("current transaction is aborted, commands ignored until end of transaction block")


class NoTransaction(RedshiftError):
    """A statement that needs a transaction block, used outside one."""

    sqlstate = "25P01"


class Cancelled(RedshiftError):
    """A statement that was cancelled."""

    sqlstate = "57014"


class SourceError(RedshiftError):
    """The source can't be read.

    No load error is logged. For a source in S3, the error has a DETAIL block if a cluster sends one. The block shows
    `context` (the operation), `location` (in the cluster's source code) and `process` (the cluster's process).
    """

    def __init__(
        self, message: str, context: str = "", location: str = "s3_utility.cpp:568", process: str = "padbmaster"
    ) -> None:
        super().__init__(message)
        self.context = context
        self.location = location
        self.process = process


class NoSuchObject(SourceError):
    """No object or file has the given name or prefix."""


def not_in_redshift(what: str) -> NotSupported:
    """Return the error for something that Redshift does not have."""
    return NotSupported(f"Redshift does not support {what}, so the stand-in refuses it")


def not_supported(what: str) -> NotSupported:
    """Return the error for something that a cluster accepts, but the stand-in does not."""
    return NotSupported(f"the local stand-in does not support {what}")
