"""Drop and recreate the tables in one transaction. All their rows are lost."""

import argparse
import os
import sys

from common import connect, run
from pipeline.errors import PipelineError
from pipeline.run_log import is_terminal, say
from pipeline.script import parser_with_config, run_script
from pipeline.session import Run, Session
from pipeline.settings import Settings
from pipeline.summary import counted
from pipeline.tables import count_rows, location_of
from sql_queries import create_table_queries, drop_table_queries, loaded_files_mark


def confirm(session: Session, counts: dict[str, int], yes: bool) -> None:
    """Ask whether to drop tables that hold rows. Raise PipelineError unless the answer is yes."""
    filled = {table: rows for table, rows in counts.items() if rows}
    if not filled or yes:
        return
    say(f"These tables in {location_of(session)} hold rows:")
    for table, rows in filled.items():
        say(f"  {table}: {counted(rows, 'row')}")
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise PipelineError(
            "nothing was changed: some of the tables hold rows; confirm at a terminal, or pass --yes to drop them"
        )
    try:
        answer = input("Drop them, with all their rows? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise PipelineError("not confirmed; nothing was changed")


def create_tables(session: Session, yes: bool = False) -> None:
    """Drop existing tables and create empty ones; `yes` skips the confirmation."""
    log = session.run.log
    log.expected = len(drop_table_queries + create_table_queries)
    counts = count_rows(session)
    confirm(session, counts, yes)
    locked = count_rows(session, lock=True)
    while locked != counts and not yes:
        # The row counts have changed since the first count: release the lock before asking again.
        session.rollback()
        counts = locked
        confirm(session, counts, yes)
        locked = count_rows(session, lock=True)
    for query in drop_table_queries + create_table_queries:
        run(session, query)
    session.execute(loaded_files_mark, {"mark": os.urandom(8).hex()})
    session.commit()
    for table, rows in locked.items():
        if rows:
            say(f"dropped {table} with its {counted(rows, 'row')}")
    log.succeed(f"{counted(len(create_table_queries), 'table')} created in {log.warehouse}")


def main(settings: Settings, this_run: Run, options: argparse.Namespace) -> None:
    """Create the tables."""
    with Session(connect(settings), settings, this_run) as session:
        create_tables(session, options.yes)


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    made = parser_with_config(__doc__)
    made.add_argument("--yes", action="store_true", help="drop tables without asking, even if they hold rows")
    return made


if __name__ == "__main__":
    sys.exit(run_script(main, parser().parse_args(), "create_tables"))
