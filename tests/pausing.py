"""Run etl.py and stop at one point until told to go on: how the fault tests hit it where they mean to.

    python pausing.py POINT [--persistent] --config PATH

POINT is the number of a statement (it stops before that one, from 0), "copy" (rows of the first COPY have
gone to the server), "commit" (all is done but the commit) or "committed" (right after it). There it prints
"paused" on a line of its own, and goes on when it reads a line. With --persistent it tries again, at once,
what failed for a reason that passes; without it this is one try.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import common
import etl
import retry
from local_redshift import load


def pause() -> None:
    print("paused", flush=True)
    sys.stdin.readline()


def stop_at(point: str) -> None:
    run, commit, init = etl.run, etl.commit, load._RowStream.__init__
    counted = {"statements": 0, "copies": 0}

    def pausing_run(*arguments: object) -> int:
        if str(counted["statements"]) == point:
            pause()
        counted["statements"] += 1
        return run(*arguments)

    def pausing_commit(connection: object) -> None:
        if point == "commit":
            pause()
        commit(connection)
        if point == "committed":
            pause()

    def pausing_init(self: object, rows: Iterator[bytes]) -> None:
        counted["copies"] += 1
        init(self, after_the_first(rows) if point == "copy" and counted["copies"] == 1 else rows)

    etl.run, etl.commit, load._RowStream.__init__ = pausing_run, pausing_commit, pausing_init


def after_the_first(rows: Iterator[bytes]) -> Iterator[bytes]:
    yield next(rows)
    pause()
    yield from rows


if __name__ == "__main__":
    stop_at(sys.argv.pop(1))
    sys.argv[0] = "etl.py"
    main = etl.main
    if "--persistent" in sys.argv:
        sys.argv.remove("--persistent")
        retry.WAITS = (0, 0, 0)
        main = retry.persistent(main)
    sys.exit(common.run_script(main, etl.__doc__))
