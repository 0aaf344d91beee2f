"""How far a COPY has got: what stv_load_state, sys_load_history and stl_load_commits say, also while it runs.

https://docs.aws.amazon.com/redshift/latest/dg/r_STV_LOAD_STATE.html: a cluster brings it up to date after
every million records; here it is once a second.
"""

import time
from collections.abc import Sequence

from psycopg2 import extensions, extras

from local_redshift.load_errors import CopyRun, LoadError, storable

SECONDS = 1  # between two looks that another session would find changed

_BEGIN = """
INSERT INTO local_redshift.copies (query, session, tbl, starttime, data_source, files)
VALUES (%s, %s, %s, %s, %s, %s)
"""
_TELL = """
UPDATE local_redshift.copies
SET files_done = %s, lines = %s, errors = %s, status = %s, recordtime = clock_timestamp()
WHERE query = %s
"""
_TELL_FILES = "INSERT INTO local_redshift.load_commits (query, filename, lines_scanned) VALUES %s"


class LoadState:
    """The files and rows of one COPY so far, told to the system tables on a connection in autocommit."""

    def __init__(
        self, system: extensions.connection, run: CopyRun, source: str, files: int, errors: Sequence[LoadError]
    ) -> None:
        """`files` is how many there are to read; `errors` grows as bad records are found."""
        self.rows = 0
        self._system = system
        self._query = run.query
        self._errors = errors
        self._files_done = 0
        self._untold: list[tuple[int, str, int]] = []
        self._told = time.monotonic()
        with system.cursor() as cursor:
            cursor.execute(_BEGIN, [run.query, run.session, run.table_id, run.started, storable(source), files])

    def rows_made(self, count: int) -> None:
        """So many more rows are on their way to the table."""
        self.rows += count
        if self.is_due:
            self.tell("running")

    def file_done(self, name: str, lines: int) -> None:
        """A file was read to its end. That does not prove a commit.

        https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_COMMITS.html
        """
        self._files_done += 1
        self._untold.append((self._query, storable(name), lines))
        if self.is_due:
            self.tell("running")

    @property
    def is_due(self) -> bool:
        """Whether it is time to tell how far the COPY has got."""
        return time.monotonic() - self._told >= SECONDS

    def tell(self, status: str) -> None:
        """Bring the system tables up to date; the status is running, completed or aborted."""
        with self._system.cursor() as cursor:
            if self._untold:
                extras.execute_values(cursor, _TELL_FILES, self._untold, page_size=2000)
            cursor.execute(_TELL, [self._files_done, self.rows, len(self._errors), status, self._query])
        self._untold.clear()
        self._told = time.monotonic()
