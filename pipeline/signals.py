"""Ctrl-C and SIGTERM: what a run does when somebody ends it."""

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from pipeline.progress import leave_terminal_in_order
from pipeline.run import Run
from pipeline.terminal import complain, warn

# Seconds. Once the run is to stop no commit goes out, so its thread is waited for only as a courtesy: it may be
# waiting itself, for somebody who never answers.
PATIENCE = 0.5
CANCEL_EVERY = 0.05
LOOK_EVERY = 0.5  # where no signal ends a wait (Windows)

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

Inbox = queue.SimpleQueue[object]


class _Worker(threading.Thread):
    """Does the work; puts itself into `inbox` when it has ended."""

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


def supervised(work: Callable[[], None], run: Run, status_of: Callable[[BaseException | None], int]) -> int:
    """Do the work in a thread of its own, so that this one can answer signals whatever the driver is doing.

    Returns the exit status: 130 or 143 after a signal, else what `status_of` says of the error that the work ended in.

    Python handles a signal only between two steps of its main thread: inside a call of the driver, which may wait
    for hours, it handles none, and raised in the driver's own callbacks it would be lost.
    """
    inbox: Inbox = queue.SimpleQueue()  # its put may be called by a signal's handler
    for number in _WORDS:
        signal.signal(number, lambda received, _: inbox.put(signal.Signals(received)))
    worker = _Worker(work, inbox)
    worker.start()
    first = _next(inbox)
    if isinstance(first, signal.Signals):
        return _ended_by(first, worker, run, inbox)
    _ignore_signals()
    return status_of(worker.error)


def _ignore_signals() -> None:
    """Have nothing end the process from here on but its own exit: its message is out."""
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)


def _next(inbox: Inbox) -> object:
    while True:
        try:
            return inbox.get(timeout=LOOK_EVERY)
        except queue.Empty:
            continue


def _ended_by(number: signal.Signals, worker: _Worker, run: Run, inbox: Inbox) -> int:
    """End the run: wait for a commit that went out, say what is true now, cancel what is under way."""
    run.stop()
    if run.is_committing:
        warn("waiting for the answer to the commit")
        _next(inbox)  # the answer, or somebody who will not wait for it
    _ignore_signals()
    # no commit goes out any more, so this stays true whatever the rest of the run does
    leave_terminal_in_order()
    message = f"{_WORDS[number]}; {run.said}"
    status = complain(message, 128 + number)
    if unwritten := run.story.end(status, message, run.outcome.value):
        complain(unwritten)
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
