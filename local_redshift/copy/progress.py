"""Report a COPY's progress in the system tables while it runs.

The tables are stv_load_state, sys_load_history and stl_load_commits. A cluster updates the progress after every million
records (https://docs.aws.amazon.com/redshift/latest/dg/r_STV_LOAD_STATE.html); the stand-in does so once a second.
"""

import json
import threading
import time

from local_redshift.copy.error_log import CopyId, LoadErrors, storable
from local_redshift.copy.exact import Piece
from local_redshift.sessions.backend import Backend

SECONDS = 1  # seconds between two updates

_BEGIN = """
INSERT INTO local_redshift.copies (query, session, tbl, starttime, data_source, files)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_TELL = """
UPDATE local_redshift.copies
SET files_done = $1, lines = $2, errors = $3, status = $4, recordtime = clock_timestamp()
WHERE query = $5
"""
_TELL_FILES = """
INSERT INTO local_redshift.load_commits (query, filename, lines_scanned)
SELECT $1::integer, name, lines::bigint
FROM json_to_recordset($2) AS told (name text, lines bigint)
"""


class CopyProgress:
    """Record the progress of one COPY in the system tables, outside its transaction."""

    def __init__(self, system: Backend, copy: CopyId, source: str, files: int, errors: LoadErrors) -> None:
        """`files` is the number of files to read; `errors` grows as bad records are found."""
        self.rows = 0
        self._system = system
        self._query = copy.query
        self._errors = errors
        self._files_done = 0
        self._is_over = False
        self._lock = threading.Lock()  # `count` is called by the thread that produces the rows
        self._untold: list[dict[str, str | int]] = []
        self._told = time.monotonic()
        system.query(_BEGIN, copy.query, copy.session, copy.table_id, copy.started, storable(source), files)

    def count(self, piece: Piece) -> None:
        """Count a piece's rows and files; update the system tables if an update is due.

        A file is listed in stl_load_commits once it has been read, even if it is never committed.
        https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_COMMITS.html
        """
        with self._lock:
            self.rows += piece.row_count
            self._files_done += len(piece.files)
            self._untold += [{"name": storable(file.name), "lines": file.lines} for file in piece.files]
        self.tell_if_due()

    @property
    def is_due(self) -> bool:
        """Whether the system tables are due for an update."""
        return time.monotonic() - self._told >= SECONDS

    def tell(self, status: str) -> None:
        """Update the system tables. The status is running, completed or aborted; the last two are final."""
        with self._lock:
            if self._is_over:  # the thread that produces the rows may outlive the COPY
                return
            self._is_over = status != "running"
            if self._untold:
                self._system.query(_TELL_FILES, self._query, json.dumps(self._untold))
            self._system.query(_TELL, self._files_done, self.rows, len(self._errors.found), status, self._query)
            self._untold.clear()
            self._told = time.monotonic()

    def tell_if_due(self) -> None:
        """Update the system tables if an update is due."""
        if self.is_due:
            self.tell("running")
