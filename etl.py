"""Load the logs and the song catalogue into the star schema: all of it or, on any failure, nothing."""

import pipeline.startup  # noqa: F401  # before all that takes a while to load

# isort: split

import argparse
import sys

import sql_queries
from common import (
    copy,
    count,
    counted,
    run,
    run_all,
    save_load_errors,
    save_tried_load_errors,
    try_copy,
    wait_for_lock,
)
from pipeline.checks import check_load, verify_star, warn_of_load
from pipeline.command_line import WAITS, parser_with_config, run_script
from pipeline.diagnosis import remark
from pipeline.errors import CopyFailed, PipelineError
from pipeline.load_errors import show_load_errors
from pipeline.ping import ping
from pipeline.sample import what_differs
from pipeline.session import Parameters, Session
from pipeline.sources.delivery import delivered
from pipeline.summary import Staged, Transformed, say_folders_read, summary
from pipeline.terminal import say


def stage(session: Session, everything: bool, replace: bool) -> Staged | None:
    """Wait until no other run is staging, then COPY what is new of the source into the emptied staging tables.

    None if nothing is new. Without TEMP_DIR, or with `everything`, all of the source is taken for new. With `replace`
    one version of each event stays staged.
    """
    wait_for_lock(session, sql_queries.staging_lock, "another run to finish loading")
    run_all(session, sql_queries.clear_staging_queries)
    with delivered(session, everything=everything) as delivery:
        for statement, parameters in delivery.copies:
            copy(session, statement, parameters)
        if not delivery.copies:
            return None
    session.mark_load()
    if replace:
        keep_newest_events(session)
    run_all(session, sql_queries.count_staged_queries)
    [row] = session.rows(sql_queries.staged_summary)
    return Staged(delivery.said, replace, *row)


def keep_newest_events(session: Session) -> None:
    """Keep one version of each staged event, and say how many others there were."""
    [(staged,)] = session.rows(sql_queries.staged_count)
    kept = run_all(session, sql_queries.newest_events_queries)[sql_queries.newest_events_insert.name]
    if kept < staged:
        say(f"{counted(staged - kept, 'staged event')} left out: of those with one key the first by its values counts")


def transform(session: Session, window: Parameters, replace: bool) -> Transformed:
    """Bring the star schema up to what is staged; of songplays and time only the window of moments is read."""
    rows = run_all(session, sql_queries.catalogue_queries)
    if replace:
        rows += run_all(session, sql_queries.replace_queries, window)
    moving = count(session, sql_queries.moving_count)
    if moving:
        run(session, sql_queries.moving_plays_insert)
    matched_before = count(session, sql_queries.matched_summary, window)
    rows += run_all(session, sql_queries.insert_table_queries, window)
    matched = count(session, sql_queries.matched_summary, window) - matched_before
    if moving:
        rows += run_all(session, sql_queries.move_plays_queries)
    return Transformed(rows, bool(moving), matched)


def load(session: Session, everything: bool = False, replace: bool = False) -> None:
    """Stage, transform, check and commit, in one transaction; with `replace` new versions of plays replace the old."""
    staged = stage(session, everything, replace)
    if staged is None:
        session.rollback()
        say("nothing is new: nothing was changed")
        return
    loaded = transform(session, staged.window, replace)
    check_load(session, staged, loaded)
    warn_of_load(session)
    if session.source.temp_dir:
        run_all(session, sql_queries.record_files_queries)
    figures = summary(session, staged, loaded)
    session.commit(figures)
    say(str(figures))
    if figures.figures["plays staged more than once"]:
        say_folders_read(session)
    if session.left_out:
        say(_saved_after_commit(session) or "the system table has no row about the records that were left out")


def _saved_after_commit(session: Session) -> str:
    """Save the load errors of the records that were left out; what is committed stays so if that fails."""
    try:
        return save_tried_load_errors(session)[1]
    except PipelineError as error:
        return str(error)


def try_source(session: Session) -> None:
    """COPY both sources without loading. Raise PipelineError if anything in them would not load."""
    gave_up = []
    with delivered(session, trial=True) as delivery:
        for statement, parameters in delivery.copies:
            try:
                try_copy(session, statement, parameters)
            except CopyFailed as error:  # on more bad records than MAXERROR
                gave_up.append(str(error))
                session.rollback()
    for line in what_differs(session):
        say(line)
    errors, saved = save_tried_load_errors(session)
    if errors:
        show_load_errors(errors, session.source, lambda error: remark(session, error))
        found = f"{counted(len(errors), 'record')} would not load"
        more = "there may be more bad records: COPY gave up before the end"
        raise PipelineError("\n".join([found, saved, *([more] if gave_up else [])]))
    if gave_up:
        raise PipelineError("\n".join([*gave_up, "the system table has no row about it"]))
    say("everything would load")


def main(
    session: Session,
    check: bool = False,
    verify: bool = False,
    everything: bool = False,
    ping_only: bool = False,
    replace: bool = False,
) -> None:
    """Load once, or do what one of the others says; where COPY fails on the data, save what is said of it."""
    try:
        if ping_only:
            ping(session)
        elif check:
            try_source(session)
        elif verify:
            verify_star(session)
        else:
            load(session, everything, replace)
    except CopyFailed as error:
        raise PipelineError(f"{error}\n{save_load_errors(session)}") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = parser_with_config(__doc__)
    only = made.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="only try whether everything would load, and change nothing")
    only.add_argument("--all", action="store_true", help="read files again that were loaded before (see TEMP_DIR)")
    only.add_argument(
        "--ping", action="store_true", help="only see whether warehouse, tables and source can be reached"
    )
    only.add_argument("--verify", action="store_true", help="only check the whole star schema, and change nothing")
    made.add_argument(
        "--replace", action="store_true", help="let plays that are staged with other values replace the old"
    )
    return made


def work(session: Session, options: argparse.Namespace) -> None:
    """What the command line asks for."""
    main(session, options.check, options.verify, options.all, options.ping, options.replace)


if __name__ == "__main__":
    options = parser()
    given = options.parse_args()
    if given.replace and (given.check or given.ping or given.verify):
        options.error("--replace goes with a load, not with --check, --ping or --verify")
    sys.exit(run_script(work, options, WAITS, needs_source=True))
