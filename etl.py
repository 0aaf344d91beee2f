"""Load the logs and the song catalogue into the star schema: all of it or, on any failure, nothing."""

import pipeline.startup  # noqa: F401  # before all that takes a while to load

# isort: split

import argparse
import sys
import time

import sql_queries
from common import commit, counted, run, save_load_errors, save_tried_load_errors
from pipeline.command_line import WAITS, parser_with_config, run_script
from pipeline.errors import CopyFailed, PipelineError
from pipeline.load_errors import show_load_errors
from pipeline.session import Session


def stage(session: Session) -> None:
    """Wait until no other run is staging, then COPY the source into the emptied staging tables."""
    for query in sql_queries.clear_staging_queries:
        run(session, query)
    for query in sql_queries.copy_table_queries:
        run(session, query, session.source_parameters)
    session.mark_load()


def transform(session: Session) -> int:
    """Bring the star schema up to what is staged; the number of plays that were new."""
    written = {query: run(session, query) for query in sql_queries.insert_table_queries}
    return written[sql_queries.songplays_table_insert]


def check_star(session: Session) -> None:
    """Raise PipelineError if the star schema is not what it must be; nothing is committed then."""
    started = time.monotonic()
    for wrong, query in sql_queries.check_queries:
        [(count, example)] = session.rows(query)
        if count:
            raise PipelineError(f"check failed, nothing was loaded: {wrong}: {count:,}, for example {example}")
    print(f"CHECK: {len(sql_queries.check_queries)} passed in {time.monotonic() - started:.2f} s", flush=True)


def summarize(session: Session, new_plays: int) -> str:
    """What was staged, what became of it, and how much of all plays the catalogue covers."""
    [(events, staged_plays)] = session.rows(sql_queries.staged_summary)
    [(plays, matched)] = session.rows(sql_queries.songplays_summary)
    [(songs, artists)] = session.rows(sql_queries.inferred_summary)
    why = "" if matched else ": it has no song with the title and artist of any play"
    share = f" ({matched / plays:.1%}){why}" if plays else ""
    return f"""
{events:>12,} events staged
{staged_plays or 0:>12,} plays among them
{new_plays:>12,} plays loaded now
{(staged_plays or 0) - new_plays:>12,} plays already there
{plays:>12,} plays in songplays
{matched or 0:>12,} plays matched to the catalogue{share}
{songs:>12,} inferred songs
{artists:>12,} inferred artists"""


def load(session: Session) -> None:
    """Stage, transform, check and commit, in one transaction."""
    stage(session)
    new_plays = transform(session)
    check_star(session)
    summary = summarize(session, new_plays)
    commit(session)
    print(summary)


def try_source(session: Session) -> None:
    """COPY both sources without loading. Raise PipelineError if anything in them would not load."""
    for query in sql_queries.try_copy_queries:
        run(session, query, session.source_parameters)
    errors, saved = save_tried_load_errors(session)
    if errors:
        show_load_errors(errors)
        raise PipelineError(f"{counted(len(errors), 'record')} would not load\n{saved}")
    print("everything would load")


def main(session: Session, check: bool = False) -> None:
    """Load once, or only try the source; where COPY fails on the data, save what the warehouse says of it."""
    try:
        (try_source if check else load)(session)
    except CopyFailed as error:
        raise PipelineError(f"{error}\n{save_load_errors(session)}") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = parser_with_config(__doc__)
    made.add_argument("--check", action="store_true", help="only try whether everything would load, and change nothing")
    return made


if __name__ == "__main__":
    sys.exit(run_script(lambda session, options: main(session, options.check), parser(), WAITS, needs_source=True))
