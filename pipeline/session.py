"""One try of a run: a connection, the statements on it, and what becomes of its commit."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import psycopg2
from psycopg2 import extensions

import sql_queries
from pipeline.cancel import canceller
from pipeline.database_errors import first_line, name_of, statement_failed
from pipeline.errors import CommitUnanswered
from pipeline.progress import Watch, shown_alive
from pipeline.run import Outcome, Run
from pipeline.settings import Settings, Source
from pipeline.sources.origins import PackedObject
from pipeline.story import Summary
from pipeline.transient import is_connection_lost

Parameters = Mapping[str, Any]


class Session:
    """A connection that the scripts work on, until the end of its `with`, in transactions of its own.

    `settings` are those that it was opened with, `run` is what this is a try of. Each method raises Stopped where the
    run is to stop, and StatementFailed where the warehouse refuses a statement.
    """

    def __init__(self, connection: extensions.connection, settings: Settings, run: Run | None = None) -> None:
        self.connection = connection
        self.settings = settings
        self.run = run or Run()
        self.mark = ""  # of the load that this session stages; see `mark_load`
        self.left_out: Counter[str] = Counter()  # bad records that COPY has left out, by table
        self.copies: list[int] = []  # its COPYs, by the numbers that the system tables have for them
        self.packed: dict[str, PackedObject] = {}  # what COPY reads in the place of the files that are packed in it
        self.run.cancel_by(canceller(connection))

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session: what it has not committed is undone."""
        self.run.cancel_by(None)
        self.connection.close()

    @property
    def source(self) -> Source:
        """The source settings. Raise ValueError if the settings were read without them."""
        if self.settings.source is None:
            raise ValueError("these settings were read without their source")
        return self.settings.source

    @property
    def source_parameters(self) -> Parameters:
        """The values for the placeholders of the COPY statements."""
        return self.source.copy_parameters()

    def execute(
        self, statement: str, parameters: Parameters | None = None, watch: Watch | None = None
    ) -> extensions.cursor:
        """Run one statement; the cursor has its rows and their number.

        Where it takes long, that is shown, with how far it is if `watch` tells.
        """
        self.run.check()
        cursor = self.connection.cursor()
        try:
            with shown_alive(name_of(statement), watch):
                cursor.execute(statement, parameters)
        except psycopg2.Error as error:
            self.run.check()  # that is why it was cancelled
            raise statement_failed(error, statement, parameters, self.settings, self.run.said) from error
        return cursor

    def rows(self, query: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.execute(query, parameters) as cursor:
            return cursor.fetchall()

    @cached_property
    def number(self) -> int:
        """The number by which the system tables know this session."""
        return int(self.rows(sql_queries.session_number)[0][0])

    def rollback(self) -> None:
        """Undo what this session has not committed."""
        self._end("ROLLBACK", self.connection.rollback)

    def _end(self, statement: str, end: Callable[[], None]) -> None:
        """End a transaction that nothing hangs on."""
        try:
            end()
        except psycopg2.Error as error:
            self.run.check()
            raise statement_failed(error, statement, None, self.settings, self.run.said) from error

    def mark_load(self) -> None:
        """Leave a mark in the transaction by which its load can be told from all others; see `check_commit_landed`."""
        self.mark = f"staged by load {os.urandom(8).hex()}"
        self.execute(sql_queries.staging_mark, {"mark": self.mark})

    def commit(self, summary: Summary | None = None) -> None:
        """Commit what `summary` sums up.

        Raise CommitUnanswered if the answer is lost, StatementFailed where it is refused.
        """
        with self.run.committing(summary):
            try:
                self.connection.commit()
            except psycopg2.Error as error:
                # only a code proves that the warehouse answered
                if error.pgcode is None or is_connection_lost(error):
                    raise CommitUnanswered(f"COMMIT failed: {first_line(error)}; {self.run.said}", self.mark) from error
                self.run.found_out(Outcome.UNCHANGED)
                raise statement_failed(error, "COMMIT", None, self.settings, self.run.said) from error
            self.run.found_out(Outcome.COMMITTED)
