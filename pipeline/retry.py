"""Trying again what failed for a reason that passes: the connection, a conflict, S3 that is busy."""

from collections.abc import Callable

from pipeline.errors import CommitUnanswered, PipelineError, StatementFailed, Unreachable
from pipeline.run import Outcome, Run
from pipeline.session import Session
from pipeline.settings import Settings
from pipeline.terminal import complain, say
from pipeline.warehouse import open_connection
from sql_queries import staging_lock, staging_marked


def is_transient(error: Exception) -> bool:
    """Whether the same run may well succeed a little later: nothing that has to be mended first."""
    if isinstance(error, StatementFailed):
        return error.passes
    return isinstance(error, (Unreachable, CommitUnanswered))


def try_until_done(work: Callable[[], None], settings: Settings, run: Run, waits: tuple[int, ...]) -> None:
    """Do `work`; whole and anew, again after each transient failure and its wait.

    Each failure is reported, the last is raised. That is safe for work that changes all or nothing and that, done
    twice, changes nothing the second time. Where only the answer to a commit was lost, the next try first finds
    out whether it landed.
    """
    unanswered = ""
    for number, seconds in enumerate((*waits, None), start=2):
        run.story.begin_try()
        try:
            if unanswered and check_commit_landed(settings, run, unanswered):
                say("the commit had landed, only its answer was lost: everything is loaded")
                if run.story.summary is not None:
                    say(str(run.story.summary))
                return None
            unanswered = ""
            return work()
        except PipelineError as error:
            unanswered = error.mark if isinstance(error, CommitUnanswered) else unanswered
            if seconds is None or not is_transient(error):
                raise
            what_next = f"trying again in {seconds} s (try {number} of {len(waits) + 1})"
            complain(f"{error}\n{what_next}")
            run.sleep(seconds)
    return None


def check_commit_landed(settings: Settings, run: Run, mark: str) -> bool:
    """Tell whether the load of this mark, whose commit was not answered, landed; the run knows it from now on.

    The lock is had only when the session that sent the commit has ended, which on a cluster may take a while.
    """
    with Session(open_connection(settings), settings, run) as session:
        session.execute(staging_lock)
        landed = session.rows(staging_marked) == [(mark,)]
        session.rollback()
    run.found_out(Outcome.COMMITTED if landed else Outcome.UNCHANGED)
    return landed
