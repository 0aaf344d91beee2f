"""Run etl.py, stop at a given point and wait for a line on stdin: for tests of faults at that point.

    python pausing.py POINT [--wait SECONDS] --config PATH

POINT is the number of a statement (it stops before that one, from 0), "copy" (in the middle of the first COPY, while
that reads the log files), "commit" (all is done but the commit), "committing" (the commit is about to go out, and no
longer to be prevented) or "committed" (right after it). There it prints "paused" on a line of its own, and goes on
when it reads a line. With --wait it tries again, up to three times, what failed for a reason that passes; without
it this is one try.
"""

import os
import sys
import threading
from pathlib import Path

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import etl
from pipeline.script import run_script
from pipeline.session import Session
from sql_queries import Copy


def pause() -> None:
    print("paused", flush=True)
    sys.stdin.readline()


def stop_at(point: str) -> None:
    step, execute, commit = Session.step, Session.execute, Session.commit
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

    def pausing_execute(session: Session, statement: str, *others: object) -> object:
        if isinstance(statement, Copy):
            counted["copies"] += 1
            if point == "copy" and counted["copies"] == 1:
                pause_reading(Path(session.source.log_data))
        return execute(session, statement, *others)

    Session.step, Session.commit, Session.execute = pausing_before, pausing_commit, pausing_execute
    if point == "committing":
        connect = psycopg2.connect
        psycopg2.connect = lambda **where: connect(**where, connection_factory=Committing)


class Committing(psycopg2.extensions.connection):
    """A connection that pauses before its commit, unless that is one of the first thread's."""

    def commit(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            pause()
        super().commit()


def pause_reading(folder: Path) -> None:
    """Pause as soon as a COPY of the folder reads its last file, which is a pipe; when that goes on, it is empty."""
    pipe = folder / "zzz-events.json"
    os.mkfifo(pipe)

    def hold() -> None:
        with open(pipe, "wb"):
            pipe.unlink()
            pause()

    threading.Thread(target=hold, daemon=True).start()


if __name__ == "__main__":
    stop_at(sys.argv.pop(1))
    sys.argv[0] = "etl.py"
    parser = etl.parser()
    parser.add_argument("--wait", type=int)
    options = parser.parse_args()
    waits = () if options.wait is None else (options.wait,) * 3
    sys.exit(run_script(etl.main, options, "load", waits, needs_source=True))
