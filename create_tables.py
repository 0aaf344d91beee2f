"""Drop and create the seven tables, in one transaction: all rows in them are lost."""

import sys

from psycopg2 import extensions

from common import Config, connect_to, run, run_script
from sql_queries import create_table_queries, drop_table_queries, existing_tables


def warn_of_rows(cursor: extensions.cursor) -> None:
    """Say which of the tables hold rows, and how many, before they are dropped."""
    cursor.execute(existing_tables)
    for (table,) in cursor.fetchall():
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        (rows,) = cursor.fetchone()
        if rows:
            print(f"dropping {table} with its {rows:,} rows", flush=True)


def main(config: Config) -> None:
    """Drop what is there and create the tables, empty."""
    connection = connect_to(config)
    with connection.cursor() as cursor:
        warn_of_rows(cursor)
        for query in drop_table_queries + create_table_queries:
            run(cursor, query)
    connection.commit()
    connection.close()


if __name__ == "__main__":
    sys.exit(run_script(main, __doc__))
