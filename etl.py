"""Load the logs and the song catalogue into the star schema, all or nothing."""

import argparse
import sys
from collections.abc import Callable

import sql_queries
from common import connect, copy, count, run, run_all, save_tried_load_errors, try_copy, wait_for_lock
from pipeline.checks import check_load, verify_star, warn_of_load
from pipeline.copy_plan import plan_copies
from pipeline.errors import CopyFailed, PipelineError
from pipeline.failures import name_of
from pipeline.load_errors import show_load_errors
from pipeline.results import count_files, describe_staged, measure, plays_in_window, say_folders_read, summarize
from pipeline.run_log import say
from pipeline.script import WAITS, parser_with_config, run_script
from pipeline.session import Run, Session
from pipeline.settings import Settings
from pipeline.source_check import compare_sample, remark
from pipeline.summary import Staged, Transformed, counted
from pipeline.tables import ping, status


def load(session: Session, everything: bool = False, replace: bool = False) -> None:
    """Stage, transform, check and commit the data in one transaction.

    If [S3] TEMP_DIR is set and `everything` is not, only new files are staged. With `replace`, a staged play replaces a
    loaded play that has the same key but different values.
    """
    log = session.run.log
    log.expected = len(EVERY_LOAD) + len(sql_queries.replace_queries) * replace
    with log.phase("staged") as phase:
        staged = phase.result = stage(session, everything, replace)
    if staged is None:
        session.rollback()
        log.succeed(f"no new files; nothing was changed in {log.warehouse}")
        return
    with log.phase("loaded") as phase:
        loaded = phase.result = transform(session, staged)
    with log.phase("checked") as phase:
        phase.result = check_load(session, staged, loaded)
    warn_of_load(session)
    if session.source.temp_dir:
        run_all(session, sql_queries.record_files_queries)
    session.commit(summarize(session, staged, loaded))
    log.summary = count_files(session, log.summary)
    if log.summary.plays_repeated:  # a second folder may have been read by mistake
        say_folders_read(session)
    if session.left_out:  # bad records, up to MAXERROR
        say(_saved_after_commit(session))
    log.sum_up()


def stage(session: Session, everything: bool, replace: bool) -> Staged | None:
    """Wait for other loads, empty the staging tables, and COPY the new files. Return None if nothing is new."""
    wait_for_lock(session, sql_queries.staging_lock, "another run to finish loading")
    run_all(session, sql_queries.clear_staging_queries)
    with plan_copies(session, everything=everything) as plan:
        if not plan.copies:
            return None
        for statement, parameters in plan.copies:
            copy(session, statement, parameters)
    session.mark_load()
    if replace:
        keep_one_version(session)
    run_all(session, sql_queries.count_staged_queries)
    return describe_staged(session, plan.files, replace)


def keep_one_version(session: Session) -> None:
    """Deduplicate the staged events, and print how many were left out."""
    staged = count(session, sql_queries.staged_count)
    kept = run_all(session, sql_queries.kept_events_queries)[name_of(sql_queries.kept_events_insert)]
    if kept < staged:
        duplicates = counted(staged - kept, "staged event")
        say(f"{duplicates} left out: only one event per key is kept (a play, if there is one)")


def transform(session: Session, staged: Staged) -> Transformed:
    """Update the star schema from the staging tables.

    Only rows of songplays and time within the load's time window are read, with two exceptions. With --replace, if a
    user's latest event is staged again, all plays of that user are read to find the latest one that stays. And all
    plays are read if some of them may match a different song or artist now, or if --replace has removed a play of an
    inferred song or artist.
    """
    rows = run_all(session, sql_queries.catalogue_queries)
    if staged.replaces:
        rows += run_all(session, sql_queries.replace_queries, staged.window)
    rematches = count(session, sql_queries.to_rematch_count) > 0
    if rematches:
        run(session, sql_queries.plays_to_rematch_insert)
    before = plays_in_window(session, staged.window)
    rows += run_all(session, sql_queries.insert_table_queries, staged.window)
    after = plays_in_window(session, staged.window)
    rematched = run_all(session, sql_queries.rematch_queries) if rematches else None
    return measure(session, staged, rows, rematched, before, after)


def _saved_after_commit(session: Session) -> str:
    """Save the load errors of the records that were left out; return a message."""
    try:
        return save_tried_load_errors(session)[1] or "the system table has no row about the records that were left out"
    except PipelineError as error:
        return str(error)


def check_source(session: Session) -> None:
    """COPY both sources with NOLOAD. Raise PipelineError if any record would not load."""
    gave_up = []
    with plan_copies(session, trial=True) as plan:
        for statement, parameters in plan.copies:
            try:
                try_copy(session, statement, parameters)
            except CopyFailed as error:  # COPY gave up: there may be more bad records than it reported
                gave_up.append(str(error))
                session.rollback()
    for line in compare_sample(session):
        say(line)
    errors, saved = save_tried_load_errors(session)
    if errors:
        show_load_errors(errors, session.source, lambda error: remark(session, error))
        found = f"{counted(len(errors), 'record')} would not load"
        more = ["there may be more bad records: COPY gave up before the end"] if gave_up else []
        raise PipelineError("\n".join([found, saved, *more]))
    if gave_up:
        raise PipelineError("\n".join([*gave_up, "the system table has no row for this failure"]))
    session.run.log.succeed("every record can be copied, and nothing was changed")


# modes other than loading, with their help texts
MODES: dict[str, tuple[Callable[[Session], None], str]] = {
    "check": (check_source, "dry run: only check that every record can be copied"),
    "ping": (ping, "only check that warehouse, tables and source can be reached"),
    "status": (status, "only show the contents of the star schema"),
    "verify": (verify_star, "only check the whole star schema, and change nothing"),
}


# the statements of a load, for the progress display: more or fewer may run
EVERY_LOAD = [
    sql_queries.staging_lock,
    *sql_queries.clear_staging_queries,
    *sql_queries.copy_table_queries,
    *sql_queries.count_staged_queries,
    *sql_queries.catalogue_queries,
    *sql_queries.insert_table_queries,
    *sql_queries.check_queries,
    sql_queries.loaded_plays_check,
]


def main(settings: Settings, this_run: Run, options: argparse.Namespace) -> None:
    """Run the chosen mode."""
    with Session(connect(settings), settings, this_run) as session:
        if options.mode:
            MODES[options.mode][0](session)
        else:
            load(session, options.all, options.replace)


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    made = parser_with_config(__doc__)
    only = made.add_mutually_exclusive_group()
    for mode, (_, what) in MODES.items():
        only.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=what)
    only.add_argument("--all", action="store_true", help="also read files that were loaded before (see TEMP_DIR)")
    made.add_argument("--replace", action="store_true", help="replace loaded plays whose values have changed")
    return made


if __name__ == "__main__":
    command_line = parser()
    options = command_line.parse_args()
    if options.mode and options.replace:
        command_line.error(f"--replace is for loads, not for --{options.mode}")
    sys.exit(run_script(main, options, options.mode or "load", WAITS, needs_source=True))
