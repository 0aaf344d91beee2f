"""Drop and create the seven tables, in one transaction: all rows in them are lost."""

import sys

from psycopg2 import extensions

from common import Config, PipelineError, commit, connect_to, run, run_script
from sql_queries import create_table_queries, drop_table_queries, existing_tables


def rows_at_stake(cursor: extensions.cursor) -> dict[str, int]:
    """How many rows each of the tables holds that are there; locks them, so that no load is under way."""
    cursor.execute(existing_tables)
    tables = [table for (table,) in cursor.fetchall()]
    if tables:
        run(cursor, f"LOCK {', '.join(tables)}")
    counts = {}
    for table in tables:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        counts[table] = cursor.fetchone()[0]
    return counts


def confirm(counts: dict[str, int], yes: bool) -> None:
    """Say what will be dropped and, at a terminal, ask. Raise PipelineError if the answer is no."""
    filled = {table: rows for table, rows in counts.items() if rows}
    for table, rows in filled.items():
        print(f"dropping {table} with its {rows:,} rows", flush=True)
    # without a terminal nobody could answer: a scheduler's run goes on
    if not filled or yes or not sys.stdin.isatty():
        return
    try:
        answer = input("Drop them? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise PipelineError("not confirmed; nothing was changed")


def main(config: Config, yes: bool = False) -> None:
    """Drop what is there and create the tables, empty; `yes` answers what would be asked."""
    connection = connect_to(config)
    try:
        with connection.cursor() as cursor:
            confirm(rows_at_stake(cursor), yes)
            for query in drop_table_queries + create_table_queries:
                run(cursor, query)
        commit(connection)
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(run_script(main, __doc__, yes="drop tables that hold rows without asking"))
