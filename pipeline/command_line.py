"""A script from its command line to its exit status, which Ctrl-C and SIGTERM may end at any moment."""

import argparse
import os
import sys
from collections.abc import Callable

import psycopg2

from pipeline.database_errors import first_line
from pipeline.errors import PipelineError
from pipeline.retry import try_until_done
from pipeline.run import Outcome, Run
from pipeline.settings import DEFAULT_CONFIG, Settings, read_settings
from pipeline.signals import supervised
from pipeline.story import Story
from pipeline.terminal import complain, say, stamp_lines
from storage.local_files import user_path

WAITS = (1, 3, 10)  # seconds before the second, third and fourth try of what may be tried again

Work = Callable[[Settings, Run, argparse.Namespace], None]


def parser_with_config(description: str | None) -> argparse.ArgumentParser:
    """A parser for the command line of a script, with the option that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="PATH", help="default: %(default)s")
    parser.add_argument("--report", type=user_path, metavar="PATH", help="write a report of the run to a file, as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the steps that had nothing to do, too")
    return parser


def run_script(
    work: Work, arguments: argparse.Namespace, waits: tuple[int, ...] = (), *, needs_source: bool = False
) -> int:
    """Read the settings, do `work` with them, and turn what goes wrong into one message.

    `waits` are the seconds before each further try where a failure may pass. Returns the exit status: 0 done,
    1 failed, 130 or 143 ended by Ctrl-C or SIGTERM.
    """
    story = Story(arguments.report, arguments.verbose)
    run = Run("run it again, that does no harm", story) if waits else Run(story=story)
    stamp_lines()

    def do_all() -> None:
        settings = read_settings(arguments.config, needs_source=needs_source)
        story.begin(settings)
        note_doubts(settings)
        try_until_done(lambda: work(settings, run, arguments), settings, run, waits)

    return supervised(do_all, run, lambda error: _ended(error, run))


def note_doubts(settings: Settings) -> None:
    """Warn about settings that are valid but probably unintended."""
    if settings.host in ("localhost", "127.0.0.1") and settings.sslmode == "verify-full":
        say(
            f"{settings.path}: [CLUSTER] HOST = {settings.host} is a cluster that is reached through this machine; "
            "HOST = local is the stand-in"
        )


def _ended(error: BaseException | None, run: Run) -> int:
    """Say what went wrong, if anything did, and write the report; the exit status."""
    try:
        message = _message(error, run)
    except BaseException as unexpected:
        run.story.end(1, f"{type(unexpected).__name__}: {unexpected}; {run.said}", run.outcome.value)
        raise
    status = complain(message) if message else 0
    unwritten = run.story.end(status, message, run.outcome.value)
    return complain(f"{unwritten}; {run.said}") if unwritten else status


def _message(error: BaseException | None, run: Run) -> str:
    if error is None:
        return ""
    if isinstance(error, PipelineError):
        return _with_outcome(str(error), run)
    if isinstance(error, psycopg2.Error):
        return f"the warehouse failed ({first_line(error)}); {run.said}"
    if isinstance(error, OSError):
        # what is still to be written at exit has nowhere to go either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = "its output was closed" if isinstance(error, BrokenPipeError) else f"it failed ({error})"
        return f"{what}; {run.said}"
    raise error


def _with_outcome(message: str, run: Run) -> str:
    """The message, and what is true of the warehouse if that is not known and the message does not say so."""
    if run.outcome is Outcome.UNKNOWN and run.said not in message:
        return f"{message}\n{run.said}"
    return message
