"""Load the logs and the song catalogue into the star schema: all of it or, on any failure, nothing."""

import sys
import time

import psycopg2
from psycopg2 import extensions

from common import (
    Config,
    PipelineError,
    commit,
    connect_to,
    is_load_failure,
    mark_load,
    run,
    run_script,
    save_load_errors,
    save_tried_load_errors,
    show_load_errors,
)
from retry import persistent
from sql_queries import (
    check_queries,
    clear_staging_queries,
    copy_table_queries,
    inferred_summary,
    insert_table_queries,
    songplays_summary,
    songplays_table_insert,
    staged_summary,
    try_copy_queries,
)


def stage(cursor: extensions.cursor, config: Config) -> None:
    """Wait until no other run is staging, then COPY the source into the emptied staging tables."""
    parameters = config.copy_parameters()
    for query in clear_staging_queries:
        run(cursor, query)
    for query in copy_table_queries:
        run(cursor, query, parameters)
    mark_load(cursor)


def transform(cursor: extensions.cursor) -> int:
    """Bring the star schema up to what is staged; the number of plays that were new."""
    written = {query: run(cursor, query) for query in insert_table_queries}
    return written[songplays_table_insert]


def check_star(cursor: extensions.cursor) -> None:
    """Raise PipelineError if the star schema is not what it must be; nothing is committed then."""
    started = time.monotonic()
    for wrong, query in check_queries:
        cursor.execute(query)
        count, example = cursor.fetchone()
        if count:
            raise PipelineError(f"check failed, nothing was loaded: {wrong}: {count:,}, for example {example}")
    print(f"CHECK: {len(check_queries)} passed in {time.monotonic() - started:.2f} s", flush=True)


def summarize(cursor: extensions.cursor, new_plays: int) -> str:
    """What was staged, what became of it, and how much of all plays the catalogue covers."""
    cursor.execute(staged_summary)
    events, staged_plays = cursor.fetchone()
    cursor.execute(songplays_summary)
    plays, matched = cursor.fetchone()
    cursor.execute(inferred_summary)
    songs, artists = cursor.fetchone()
    share = f" ({matched / plays:.1%})" if plays else ""
    return f"""
{events:>12,} events staged
{staged_plays or 0:>12,} plays among them
{new_plays:>12,} plays loaded now
{(staged_plays or 0) - new_plays:>12,} plays already there
{plays:>12,} plays in songplays
{matched or 0:>12,} plays matched to the catalogue{share}
{songs:>12,} inferred songs
{artists:>12,} inferred artists"""


def load(connection: extensions.connection, config: Config) -> None:
    """Stage, transform, check and commit, in one transaction."""
    with connection.cursor() as cursor:
        stage(cursor, config)
        new_plays = transform(cursor)
        check_star(cursor)
        summary = summarize(cursor, new_plays)
    commit(connection)
    print(summary)


def try_source(connection: extensions.connection, config: Config) -> None:
    """COPY both sources without loading. Raise PipelineError if anything in them would not load."""
    with connection.cursor() as cursor:
        for query in try_copy_queries:
            run(cursor, query, config.copy_parameters())
    connection.rollback()
    errors, saved = save_tried_load_errors(connection, config)
    if errors:
        show_load_errors(errors)
        raise PipelineError(f"{len(errors):,} records would not load\n{saved}")
    print("everything would load")


def main(config: Config, check: bool = False) -> None:
    """Load once, or only try the source; where COPY fails on the data, save what the warehouse says of it."""
    connection = connect_to(config)
    try:
        (try_source if check else load)(connection, config)
    except psycopg2.Error as error:
        if not is_load_failure(error):
            raise
        connection.rollback()
        raise PipelineError(f"{str(error).strip()}\n{save_load_errors(connection, config)}") from error
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(run_script(persistent(main), __doc__, check="only try whether everything would load, and change nothing"))
