"""Run a script: command line, retries, Ctrl-C and SIGTERM, exit status."""

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import psycopg2

from pipeline.errors import CommitUnanswered, PipelineError, StatementFailed, Unreachable
from pipeline.failures import first_line
from pipeline.progress import leave_terminal_in_order
from pipeline.run_log import RunLog, complain, say, stamp_lines, warn
from pipeline.session import Outcome, Run, Session
from pipeline.settings import DEFAULT_CONFIG, Settings, read_settings
from pipeline.warehouse import open_connection
from sql_queries import staging_lock, staging_marked
from storage.local_files import user_path


def is_transient(error: Exception) -> bool:
    """Tell whether a retry may succeed without any change by the user."""
    if isinstance(error, StatementFailed):
        return error.is_transient
    return isinstance(error, (Unreachable, CommitUnanswered))


def try_until_done(work: Callable[[], None], settings: Settings, run: Run, waits: tuple[int, ...]) -> None:
    """Do `work`; after a transient failure, wait and start over.

    Each failure is printed; the last one is raised. `work` must be atomic and idempotent. If the answer to a commit was
    lost, the next try first checks whether the commit landed.
    """
    unanswered = ""
    for number, seconds in enumerate((*waits, None), start=2):
        run.log.tries += 1
        try:
            if unanswered and check_commit_landed(settings, run, unanswered):
                say("the commit had succeeded, and only the server's answer was lost: everything is loaded")
                return run.log.sum_up()
            unanswered = ""
            run.log.forget_try()
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
    """Tell whether an unanswered commit landed, and record the outcome in the run.

    LOCK waits until the session that sent the commit has ended. On a cluster that can take a while.
    """
    with Session(open_connection(settings), settings, run) as session:
        session.execute(staging_lock)
        landed = session.rows(staging_marked) == [(mark,)]
        session.rollback()
    run.set_outcome(Outcome.COMMITTED if landed else Outcome.UNCHANGED)
    return landed


# Seconds to wait for the worker thread before exiting, because the thread may be blocked on the warehouse forever.
# Exiting while it runs is safe: a run that is stopping sends no commit.
PATIENCE = 0.5
CANCEL_EVERY = 0.05  # seconds between attempts to cancel a statement
LOOK_EVERY = 0.5  # seconds between wake-ups: on Windows a signal does not interrupt a wait

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

Inbox = queue.SimpleQueue[object]


class _Worker(threading.Thread):
    """A thread that does the work and then puts itself into `inbox`."""

    def __init__(self, work: Callable[[], None], inbox: Inbox) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._inbox = inbox
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        self._inbox.put(self)


def run_with_signals(work: Callable[[], None], run: Run, status_of: Callable[[BaseException | None], int]) -> int:
    """Do the work in a separate thread, so that the driver never delays signals.

    Return the exit status: 130 or 143 after a signal, otherwise the result of `status_of`. Python runs signal handlers
    only between bytecodes of the main thread, so a driver call there could delay them for hours.
    """
    inbox: Inbox = queue.SimpleQueue()  # its put() is safe in a signal handler
    for number in _WORDS:
        signal.signal(number, lambda received, _: inbox.put(signal.Signals(received)))
    worker = _Worker(work, inbox)
    worker.start()
    first = _next(inbox)
    if isinstance(first, signal.Signals):
        return _end_on_signal(first, worker, run, inbox)
    _ignore_signals()
    return status_of(worker.error)


def _ignore_signals() -> None:
    """Ignore further signals while the run ends."""
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)


def _next(inbox: Inbox) -> object:
    while True:
        try:
            return inbox.get(timeout=LOOK_EVERY)
        except queue.Empty:
            continue


def _end_on_signal(number: signal.Signals, worker: _Worker, run: Run, inbox: Inbox) -> int:
    """End the run: await a commit in flight, print the outcome, cancel the statement."""
    run.stop()
    if run.is_committing:
        warn("waiting for the answer to the commit")
        _next(inbox)  # the worker's result, or a second signal
    _ignore_signals()
    # no more commits are sent, so the outcome is final
    leave_terminal_in_order()
    message = f"{_WORDS[number]}; {run.outcome_text}"
    status = complain(message, 128 + number)
    if unwritten := run.log.end(status, message, run.outcome.name.lower()):
        complain(unwritten)
    _cancel_for(PATIENCE, run, worker)
    if worker.is_alive():
        _leave_at_once(status)
    return status


def _cancel_for(seconds: float, run: Run, worker: _Worker) -> None:
    """Cancel running statements repeatedly until the worker ends or the time is up.

    A single cancel is not enough, because a statement may start just after it.
    """
    threading.Thread(target=_keep_cancelling, args=(run, worker), daemon=True).start()
    worker.join(seconds)


def _keep_cancelling(run: Run, worker: _Worker) -> None:
    while worker.is_alive():
        run.cancel()
        worker.join(CANCEL_EVERY)


def _leave_at_once(status: int) -> NoReturn:
    """Exit without waiting for threads; the warehouse rolls back uncommitted changes."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


WAITS = (1, 3, 10)  # seconds before the second, third and fourth try

Work = Callable[[Settings, Run, argparse.Namespace], None]


def parser_with_config(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options common to both scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="PATH", help="default: %(default)s")
    parser.add_argument("--report", type=user_path, metavar="PATH", help="write a report of the run to a file, as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each statement and each check")
    return parser


def run_script(
    work: Work, arguments: argparse.Namespace, mode: str, waits: tuple[int, ...] = (), *, needs_source: bool = False
) -> int:
    """Read the settings, do `work`, and turn any failure into one message.

    `mode` is the name of the run in its report; `waits` are the seconds before each retry of a transient failure.
    Return the exit status: 0 for success, 1 for failure, 130 after Ctrl-C, 143 after SIGTERM.
    """
    log = RunLog(arguments.report, arguments.verbose, mode)
    run = Run("run it again; that does no harm", log) if waits else Run(log=log)
    stamp_lines()

    def do_all() -> None:
        log.refuse_report_to(user_path(arguments.config))
        settings = read_settings(arguments.config, needs_source=needs_source)
        log.begin(settings)
        note_doubts(settings)
        try_until_done(lambda: work(settings, run, arguments), settings, run, waits)

    return run_with_signals(do_all, run, lambda error: _ended(error, run))


def note_doubts(settings: Settings) -> None:
    """Print a note about settings that are valid but probably not intended."""
    if settings.host in ("localhost", "127.0.0.1") and settings.sslmode == "verify-full":
        say(
            f"{settings.path}: [CLUSTER] HOST = {settings.host} is treated as a cluster that is "
            "reached through a tunnel on this machine; "
            "for the stand-in, set HOST = local"
        )


def _ended(error: BaseException | None, run: Run) -> int:
    """Print the error, if any, and write the report; return the exit status."""
    try:
        message = _message(error, run)
    except BaseException as unexpected:
        run.log.end(1, f"{type(unexpected).__name__}: {unexpected}; {run.outcome_text}", run.outcome.name.lower())
        raise
    status = complain(message) if message else 0
    unwritten = run.log.end(status, message, run.outcome.name.lower())
    return complain(f"{unwritten}; {run.outcome_text}") if unwritten else status


def _message(error: BaseException | None, run: Run) -> str:
    if error is None:
        return ""
    if isinstance(error, PipelineError):
        return _with_outcome(str(error), run)
    if isinstance(error, psycopg2.Error):
        return f"the warehouse failed ({first_line(error)}); {run.outcome_text}"
    if isinstance(error, OSError):
        # discard the rest of stdout: the flush at exit would fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = "its output was closed" if isinstance(error, BrokenPipeError) else f"it failed ({error})"
        return f"{what}; {run.outcome_text}"
    raise error


def _with_outcome(message: str, run: Run) -> str:
    """If the outcome is unknown, say so in the message unless it already does."""
    if run.outcome is Outcome.UNKNOWN and run.outcome_text not in message:
        return f"{message}\n{run.outcome_text}"
    return message
