"""A script from its command line to its exit status, which Ctrl-C and SIGTERM may end at any moment."""

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psycopg2

from pipeline.database_errors import first_line
from pipeline.errors import PipelineError
from pipeline.progress import leave_terminal_in_order
from pipeline.retry import try_until_done
from pipeline.run import Outcome, Run
from pipeline.session import Session
from pipeline.settings import DEFAULT_CONFIG, Settings, read_settings

# Seconds. Once the run is to stop no commit goes out, so its thread is waited for only as a courtesy: it may be
# waiting itself, for somebody who never answers.
PATIENCE = 0.5
CANCEL_EVERY = 0.05
LOOK_EVERY = 0.5  # where no signal ends a wait (Windows)

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

Work = Callable[[Session, argparse.Namespace], None]


def parser_with_config(description: str | None) -> argparse.ArgumentParser:
    """A parser for the command line of a script, with the option that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="PATH", help="default: %(default)s")
    return parser


def run_script(
    work: Work, parser: argparse.ArgumentParser, waits: tuple[int, ...] = (), *, needs_source: bool = False
) -> int:
    """Parse the command line, do `work` in a session, and turn what goes wrong into one message.

    `waits` are the seconds before each further try where a failure may pass. Returns the exit status: 0 done,
    1 failed, 130 or 143 ended by Ctrl-C or SIGTERM; wrong usage exits with 2.
    """
    arguments = parser.parse_args()
    run = Run("run it again, that does no harm") if waits else Run()

    def do_all() -> None:
        settings = read_settings(arguments.config, needs_source=needs_source)
        note_doubts(settings)
        try_until_done(lambda session: work(session, arguments), settings, run, waits)

    return _supervised(do_all, run)


def note_doubts(settings: Settings) -> None:
    """Say what is allowed in the config, and yet hardly meant."""
    if settings.host in ("localhost", "127.0.0.1") and settings.sslmode == "verify-full":
        print(
            f"{settings.path}: [CLUSTER] HOST = {settings.host} is a cluster that is reached through this machine; "
            "HOST = local is the stand-in",
            flush=True,
        )


class _Worker(threading.Thread):
    """Does the work; puts itself into `inbox` when it has ended."""

    def __init__(self, work: Callable[[], None], inbox: "queue.SimpleQueue[object]") -> None:
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


def _supervised(work: Callable[[], None], run: Run) -> int:
    """Do the work in a thread of its own, so that this one can answer signals whatever the driver is doing.

    Python handles a signal only between two steps of its main thread: inside a call of the driver, which may wait
    for hours, it handles none, and raised in the driver's own callbacks it would be lost.
    """
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()  # its put may be called by a signal's handler
    for number in _WORDS:
        signal.signal(number, lambda received, _: inbox.put(signal.Signals(received)))
    worker = _Worker(work, inbox)
    worker.start()
    first = _next(inbox)
    if isinstance(first, signal.Signals):
        return _ended_by(first, worker, run, inbox)
    _ignore_signals()
    return _status(worker.error, run)


def _ignore_signals() -> None:
    """Have nothing end the process from here on but its own exit: what it has to say is said."""
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)


def _next(inbox: "queue.SimpleQueue[object]") -> object:
    while True:
        try:
            return inbox.get(timeout=LOOK_EVERY)
        except queue.Empty:
            continue


def _status(error: BaseException | None, run: Run) -> int:
    if error is None:
        return 0
    if isinstance(error, PipelineError):
        return _failed(_with_outcome(str(error), run))
    if isinstance(error, psycopg2.Error):
        return _failed(f"the warehouse failed ({first_line(error)}); {run.said}")
    if isinstance(error, OSError):
        # what is still to be written at exit has nowhere to go either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = "its output was closed" if isinstance(error, BrokenPipeError) else f"it failed ({error})"
        return _failed(f"{what}; {run.said}")
    raise error


def _with_outcome(message: str, run: Run) -> str:
    """The message, and what is true of the warehouse if that is not known and the message does not say so."""
    if run.outcome is Outcome.UNKNOWN and run.said not in message:
        return f"{message}\n{run.said}"
    return message


def _ended_by(number: signal.Signals, worker: _Worker, run: Run, inbox: "queue.SimpleQueue[object]") -> int:
    """End the run: wait for a commit that went out, say what is true now, cancel what is under way."""
    run.stop()
    if run.is_committing:
        print("waiting for the answer to the commit", file=sys.stderr, flush=True)
        _next(inbox)  # the answer, or somebody who will not wait for it
    _ignore_signals()
    # no commit goes out any more, so this stays true whatever the rest of the run does
    leave_terminal_in_order()
    status = _failed(f"{_WORDS[number]}; {run.said}", 128 + number)
    _cancel_for(PATIENCE, run, worker)
    if worker.is_alive():
        _leave_at_once(status)
    return status


def _cancel_for(seconds: float, run: Run, worker: _Worker) -> None:
    """Cancel what the run has under way, again and again, until it ends or the time is over.

    The next statement may begin just after a cancel that found none.
    """
    threading.Thread(target=_keep_cancelling, args=(run, worker), daemon=True).start()
    worker.join(seconds)


def _keep_cancelling(run: Run, worker: _Worker) -> None:
    while worker.is_alive():
        run.cancel()
        worker.join(CANCEL_EVERY)


def _leave_at_once(status: int) -> NoReturn:
    """End the process without waiting for its threads; the warehouse undoes what they have not committed."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


def _failed(message: str, status: int = 1) -> int:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr, flush=True)
    return status
