"""Trying again what failed for a reason that passes: the connection, a conflict, S3 that is busy."""

from collections.abc import Callable

from pipeline.errors import CommitUnanswered, PipelineError, StatementFailed, Unreachable
from pipeline.run import Outcome, Run
from pipeline.session import Session
from pipeline.settings import Settings
from pipeline.terminal import complain, say


def is_transient(error: Exception) -> bool:
    """Whether the same run may well succeed a little later: nothing that has to be mended first."""
    if isinstance(error, StatementFailed):
        return error.passes
    return isinstance(error, (Unreachable, CommitUnanswered))


def try_until_done(work: Callable[[Session], None], settings: Settings, run: Run, waits: tuple[int, ...]) -> None:
    """Do `work` in a session; whole and in a new one, again after each transient failure and its wait.

    Each failure is reported, the last is raised. That is safe for work that changes all or nothing and that, done
    twice, changes nothing the second time. Where only the answer to a commit was lost, the next try first finds
    out whether it landed.
    """
    unanswered = ""
    for number, seconds in enumerate((*waits, None), start=2):
        run.story.begin_try()
        try:
            with Session(settings, run) as session:
                try:
                    if unanswered and session.find_out(unanswered) is Outcome.COMMITTED:
                        say("the commit had landed, only its answer was lost: everything is loaded")
                        if run.story.summary is not None:
                            say(str(run.story.summary))
                        return None
                    unanswered = ""
                    return work(session)
                except CommitUnanswered:
                    unanswered = session.mark
                    raise
        except PipelineError as error:
            if seconds is None or not is_transient(error):
                raise
            what_next = f"trying again in {seconds} s (try {number} of {len(waits) + 1})"
            complain(f"{error}\n{what_next}")
            run.sleep(seconds)
    return None
