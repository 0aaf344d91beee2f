"""Progress of a COPY in stv_load_state, sys_load_history and stl_load_commits, also while it runs.

A cluster updates it after every million records (https://docs.aws.amazon.com/redshift/latest/dg/r_STV_LOAD_STATE.html);
here it is once a second.
"""

import time

from psycopg2 import extensions, extras

from local_redshift.copy.error_log import CopyId, LoadErrors, storable
from local_redshift.copy.piece import Piece

SECONDS = 1  # between two updates

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


class CopyProgress:
    """Files and rows of one COPY so far, written to the system tables on an autocommit connection."""

    def __init__(
        self, system: extensions.connection, copy: CopyId, source: str, files: int, errors: LoadErrors
    ) -> None:
        """`files` is the number of files to read; `errors` grows as bad records are found."""
        self.rows = 0
        self._system = system
        self._query = copy.query
        self._errors = errors
        self._files_done = 0
        self._untold: list[tuple[int, str, int]] = []
        self._told = time.monotonic()
        with system.cursor() as cursor:
            cursor.execute(_BEGIN, [copy.query, copy.session, copy.table_id, copy.started, storable(source), files])

    def count(self, piece: Piece) -> None:
        """Count the rows and files of a piece; update the system tables if it is time to.

        A file that was read to its end does not prove a commit.
        https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_COMMITS.html
        """
        self.rows += piece.row_count
        self._files_done += len(piece.files)
        self._untold += [(self._query, storable(file.name), file.lines) for file in piece.files]
        if self.is_due:
            self.tell("running")

    @property
    def is_due(self) -> bool:
        """Whether it is time to update the system tables."""
        return time.monotonic() - self._told >= SECONDS

    def tell(self, status: str) -> None:
        """Update the system tables; the status is running, completed or aborted."""
        with self._system.cursor() as cursor:
            if self._untold:
                extras.execute_values(cursor, _TELL_FILES, self._untold, page_size=2000)
            cursor.execute(_TELL, [self._files_done, self.rows, len(self._errors.found), status, self._query])
        self._untold.clear()
        self._told = time.monotonic()
