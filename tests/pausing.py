"""Run etl.py, stop at a given point and wait for a line on stdin: for tests of faults at that point.

    python pausing.py POINT [--wait SECONDS] --config PATH

POINT is the number of a statement (it stops before that one, from 0), "copy" (rows of the first COPY have
gone to the server), "commit" (all is done but the commit), "committing" (the commit is about to go out, and no
longer to be prevented) or "committed" (right after it). There it prints "paused" on a line of its own, and goes on
when it reads a line. With --wait it tries again, up to three times, what failed for a reason that passes; without
it this is one try.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import etl
from local_redshift.connection import RedshiftConnection
from local_redshift.copy.stream import RowStream
from pipeline.script import run_script
from pipeline.session import Session


def pause() -> None:
    print("paused", flush=True)
    sys.stdin.readline()


def stop_at(point: str) -> None:
    step, commit, init = Session.step, Session.commit, RowStream.__init__
    counted = {"statements": 0, "copies": 0}

    def pausing_before(session: Session, statement: str) -> object:
        if str(counted["statements"]) == point:
            pause()
        counted["statements"] += 1
        return step(session, statement)

    def pausing_commit(session: Session, *summary: object) -> None:
        if point == "commit":
            pause()
        commit(session, *summary)
        if point == "committed":
            pause()

    def pausing_init(self: object, rows: Iterator[bytes], *others: object) -> None:
        counted["copies"] += 1
        init(self, after_the_first(rows) if point == "copy" and counted["copies"] == 1 else rows, *others)

    def pausing_driver_commit(connection: RedshiftConnection) -> None:
        if point == "committing" and threading.current_thread() is not threading.main_thread():
            pause()
        driver_commit(connection)

    Session.step, Session.commit, RowStream.__init__ = pausing_before, pausing_commit, pausing_init
    driver_commit, RedshiftConnection.commit = RedshiftConnection.commit, pausing_driver_commit


def after_the_first(rows: Iterator[bytes]) -> Iterator[bytes]:
    yield next(rows)
    pause()
    yield from rows


if __name__ == "__main__":
    stop_at(sys.argv.pop(1))
    sys.argv[0] = "etl.py"
    parser = etl.parser()
    parser.add_argument("--wait", type=int)
    options = parser.parse_args()
    waits = () if options.wait is None else (options.wait,) * 3
    sys.exit(run_script(etl.main, options, "load", waits, needs_source=True))
