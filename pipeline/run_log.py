"""What a run says: lines as it goes and, where one is wanted, a report of the same as JSON."""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import PipelineError
from pipeline.settings import Settings

_stamped: set[int] = set()  # the streams whose lines begin with the time, by their file descriptors


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; where it is closed, Python has None in its place."""
    return stream is not None and stream.isatty()


def now() -> str:
    """The time, as lines and reports have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def stamp_lines() -> None:
    """From now on begin each line with the time where nobody is at a terminal, so that a log can be read later."""
    _stamped.update(number for number, stream in ((1, sys.stdout), (2, sys.stderr)) if not is_terminal(stream))


def say(text: str, *, with_time: bool = False) -> None:
    """Print a line or several, out at once where the output goes to a file or a pipe, too."""
    print(_with_time(text) if with_time or 1 in _stamped else text, flush=True)


def complain(message: str, status: int = 1) -> int:
    """Print a message with the script's name on stderr; the exit status to end with."""
    warn(f"{Path(sys.argv[0]).name}: {message}")
    return status


def warn(text: str) -> None:
    """Print a line or several on stderr."""
    print(_with_time(text) if 2 in _stamped else text, file=sys.stderr, flush=True)


def _with_time(text: str) -> str:
    return "\n".join(f"{now()}  {line}".rstrip() for line in text.split("\n"))


QUIET_SECONDS = 0.05  # a step that did nothing and took no longer is no line of its own at a terminal


@dataclass(frozen=True)
class Step:
    """One statement of a run: how many rows it wrote, None where it wrote none, and how long it took."""

    name: str
    rows: int | None
    seconds: float


@dataclass(frozen=True)
class Summary:
    """Summary of a load: figures for the report, text for the screen."""

    figures: dict[str, Any]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class RunLog:
    """The log of one run. `is_verbose` has every step told at a terminal, too."""

    report: Path | None = None
    is_verbose: bool = False
    started: str = field(default_factory=now)
    source: dict[str, str] = field(default_factory=dict)
    target: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    steps: list[Step] = field(default_factory=list)
    summary: Summary | None = None
    warnings: list[str] = field(default_factory=list)
    _quiet: list[Step] = field(default_factory=list)

    def begin(self, settings: Settings) -> None:
        """Tell what goes where. Raise PipelineError where the report can't be written later."""
        if self.report is not None:
            report, self.report = self.report.absolute(), None
            if not _is_device(report):
                report = report.resolve()
            if report == settings.path:
                raise PipelineError(f"--report {report}: that is the config file; nothing was changed")
            _check_writable(report)
            if not _is_device(report):
                # a run that is killed leaves no report of an earlier one behind
                _begin_report(report, self.started)
            self.report = report
        self.target = {
            "host": settings.place,
            "database": settings.database,
            "schema": settings.schema or "public",
            "user": settings.user,
        }
        if settings.source is not None:
            self.source = {"log_data": settings.source.log_data, "song_data": settings.source.song_data}
        where = f"{settings.database}.{settings.schema or 'public'} on {settings.short_place} (user {settings.user})"
        what = f"{', '.join(self.source.values())} -> {where}" if self.source else where
        say(what, with_time=True)

    def begin_try(self) -> None:
        """Forget the steps of an earlier try: it changed nothing."""
        self.tries += 1
        self.steps.clear()
        self.warnings.clear()
        self._quiet.clear()

    def step(self, step: Step, said: str) -> None:
        """Tell of a step that has just ended. One that did nothing waits for the others of its kind, at a terminal."""
        self.steps.append(step)
        did_nothing = not step.rows and step.seconds < QUIET_SECONDS
        if did_nothing and not self.is_verbose and is_terminal(sys.stdout):
            self._quiet.append(step)
        else:
            say(said)

    def warn(self, text: str) -> None:
        """Tell of something odd that fails nothing."""
        self.warnings.append(text)
        say(text)

    def sum_up_quiet_steps(self) -> None:
        """Tell in one line of the steps that did nothing."""
        if self._quiet:
            seconds = sum(step.seconds for step in self._quiet)
            say(f"{len(self._quiet)} other steps wrote nothing, {seconds:.2f} s (-v shows them)")
            self._quiet.clear()

    def end(self, status: int, error: str, outcome: str) -> str:
        """Write the report, if one is wanted; what kept it from being written, or nothing."""
        if self.report is None:
            return ""
        told = {
            "started": self.started,
            "finished": now(),
            "status": {0: "succeeded", 130: "stopped", 143: "stopped"}.get(status, "failed"),
            "exit_status": status,
            "outcome": outcome,
            "source": self.source,
            "target": self.target,
            "tries": self.tries,
            "steps": [asdict(step) for step in list(self.steps)],
            "warnings": self.warnings,
            "summary": self.summary.figures if self.summary else {},
            "error": error or None,
        }
        try:
            _write(self.report, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        except OSError as failure:
            return f"{self.report} could not be written: {failure.strerror}"
        return ""


def _write(report: Path, text: str) -> None:
    """Write a file whole or not at all; a pipe or a device is written as it is."""
    if _is_device(report):
        report.write_text(text, encoding="utf-8")
        return
    unfinished = report.with_name(f"{report.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(report)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _begin_report(report: Path, started: str) -> None:
    try:
        _write(report, json.dumps({"started": started, "status": "running"}) + "\n")
    except OSError as error:
        raise PipelineError(f"--report {report} can't be written: {error.strerror}; nothing was changed") from error


def _is_device(report: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/stdout, which may resolve to a path that does not exist."""
    return report.exists() and not report.is_file() and not report.is_dir()


def _check_writable(report: Path) -> None:
    if report.is_dir() or not (_is_device(report) or os.access(report.parent, os.W_OK)):
        raise PipelineError(f"--report {report}: no file can be written there; nothing was changed")
