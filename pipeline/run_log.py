"""Run log: the output of a script while it runs, and its JSON report."""

import contextlib
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.summary import Summary, counted
from storage.local_files import replacing

REPORT_VERSION = 2  # version of the report's fields; see docs/runs.md
REPORTED_ERRORS = 100  # maximum number of load errors in the report; after --check, load_errors.csv has all

_BEGINNINGS = ('{"started": ', '{\n  "version": ')  # of a report of a run under way, and of one that has ended

GREEN, YELLOW, RED = "32", "33", "31"  # https://en.wikipedia.org/wiki/ANSI_escape_code#Colors

_stamped: set[int] = set()  # file descriptors of the streams whose lines begin with a timestamp


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a standard stream is a terminal. A closed stream is None, and is not one."""
    return stream is not None and stream.isatty()


def now() -> str:
    """Return the current UTC time, formatted for the log and the report."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def stamp_lines() -> None:
    """From now on, begin each line with a timestamp, unless it goes to a terminal."""
    _stamped.update(number for number, stream in ((1, sys.stdout), (2, sys.stderr)) if not is_terminal(stream))


def say(text: str, *, colour: str = "", with_time: bool = False) -> None:
    """Print one or more lines to stdout and flush."""
    print(_shown(text, sys.stdout, colour, with_time or 1 in _stamped), flush=True)


def warn(text: str, *, colour: str = "") -> None:
    """Print one or more lines to stderr."""
    print(_shown(text, sys.stderr, colour, 2 in _stamped), file=sys.stderr, flush=True)


def complain(message: str, status: int = 1) -> int:
    """Print a message with the script's name to stderr; return the exit status."""
    warn(f"{Path(sys.argv[0]).name}: {message}", colour=RED)
    return status


def _shown(text: str, stream: TextIO, colour: str, with_time: bool) -> str:
    """Format the text: timestamps if `with_time`, colour and wrapping for a terminal."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = text.encode(encoding, "backslashreplace").decode(encoding).split("\n")
    if with_time:
        lines = [f"{now()}  {line}".rstrip() for line in lines]
    if is_terminal(stream):
        lines = ["\n".join(_fitting(line, stream)) for line in lines]
        if colour and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
            lines[0] = f"\33[{colour}m{lines[0]}\33[0m"
    return "\n".join(lines)


def _shown_path(path: str) -> str:
    """Return a path for display: at a terminal, without the working folder's prefix."""
    if not is_terminal(sys.stdout):
        return path
    with contextlib.suppress(OSError):  # the working folder no longer exists
        return path.removeprefix(f"{Path.cwd()}/")
    return path


def _fitting(line: str, stream: TextIO) -> list[str]:
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return [line]
    if not 20 <= width < len(line):
        return [line]
    return textwrap.wrap(
        line, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False, subsequent_indent="  "
    )


@dataclass
class Step:
    """One statement of a run, with its duration.

    `rows` is the number of rows written; None if the statement is not a write.
    """

    name: str
    rows: int | None = None
    seconds: float = 0.0


class CheckResult(NamedTuple):
    """The result of one data check rule: its name, the number of violations, and an example."""

    name: str
    found: int
    example: str | None

    def __str__(self) -> str:
        if self.name.endswith("?"):
            return f"{self.found:,} {self.name}"
        return f"{self.name}: {self.found:,}" + (f", for example {self.example}" if self.example else "")


class Result(Protocol):
    """The result of a phase: one line for a log, several lines for a terminal."""

    @property
    def text(self) -> str: ...

    @property
    def lines(self) -> Sequence[str]: ...


@dataclass
class Phase:
    """A phase of a run. The `with` block sets its result."""

    result: Result | None = None


@dataclass
class RunLog:
    """The log of one run. With `is_verbose`, it shows each statement and each check."""

    report: Path | None = None
    is_verbose: bool = False
    mode: str = ""
    expected: int = 0  # expected number of statements; 0 if unknown
    started: str = field(default_factory=now)
    source: dict[str, str] = field(default_factory=dict)
    target: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    steps: list[Step] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    load_errors: list[dict[str, Any]] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    star: dict[str, Any] | None = None  # statistics of the star schema, with --status
    warehouse: str = "the warehouse"  # such as "dwh.public on local"
    _begun: float = field(default_factory=time.monotonic)

    def begin(self, settings: Settings) -> None:
        """Print the first line. Raise PipelineError if the report can't be written."""
        if self.report is not None:
            self._begin_report(self.report)
        self.target = {
            "host": settings.location,
            "database": settings.database,
            "schema": settings.schema or "public",
            "user": settings.user,
        }
        if settings.source is not None:
            self.source = {"log_data": settings.source.log_data, "song_data": settings.source.song_data}
        tables = f"{settings.database}.{settings.schema or 'public'}"
        self.warehouse = f"{tables} on {settings.short_location}"
        warehouse = f"local ({_shown_path(str(settings.data_dir))})" if settings.is_local else settings.short_location
        where = f"{tables} on {warehouse} (user {settings.user})"
        sources = ", ".join(_shown_path(path) for path in self.source.values())
        say(f"{sources} -> {where}" if sources else where, with_time=True)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    def _begin_report(self, report: Path) -> None:
        """Overwrite any older report with status "running", in case this run is killed."""
        try:
            report = report.absolute() if _is_device(report) else report.resolve()
            _check_writable(report)
            if not _is_device(report):
                _check_is_report(report)
                _write(report, json.dumps({"started": self.started, "status": "running"}) + "\n")
        except OSError as error:
            self.report = None
            raise PipelineError(f"--report {report} can't be written: {error.strerror}; nothing was changed") from error
        except PipelineError:
            self.report = None
            raise
        self.report = report

    def refuse_report_to(self, config: Path) -> None:
        """Raise PipelineError if the report would overwrite the config."""
        if self.report is not None and self.report.resolve() == config.resolve():
            report, self.report = self.report, None
            raise PipelineError(f"--report {report} can't be written: that is the config file; nothing was changed")

    def forget_try(self) -> None:
        """Clear the log entries of a failed attempt, before the next one."""
        for noted in (self.steps, self.checks, self.warnings, self.load_errors):
            noted.clear()

    @property
    def position(self) -> tuple[int, int] | None:
        """The current step and the total number of steps; None if the total is unknown."""
        number = len(self.steps) + 1
        return (number, max(self.expected, number)) if self.expected else None

    def step(self, step: Step) -> None:
        """Record a finished statement; print it with -v."""
        self.steps.append(step)
        rows = "" if step.rows is None else f"{counted(step.rows, 'row')} in "
        self.detail(f"{step.name}: {rows}{step.seconds:.2f} s")

    def detail(self, text: str) -> None:
        """Print a line, but only with -v."""
        if self.is_verbose:
            say(text)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Time the `with` block, and print the phase's result if it has one."""
        started = time.monotonic()
        phase = Phase()
        yield phase
        if phase.result is None:
            return
        seconds = f"in {time.monotonic() - started:.2f} s"
        if phase.result.lines and is_terminal(sys.stdout):
            say("\n".join([f"{name} {seconds}", *phase.result.lines]))
        else:
            say(f"{name} {seconds}: {phase.result.text}")

    def note_load_errors(self, errors: Sequence[NamedTuple]) -> None:
        """Record the first REPORTED_ERRORS rejected records for the report."""
        self.load_errors = [error._asdict() for error in errors[:REPORTED_ERRORS]]

    def check(self, result: CheckResult) -> None:
        """Record the result of one check; with -v, also print it."""
        self.checks.append(result)
        self.detail(f"  failed  {result}" if result.found else f"  ok  {result.name}")

    def succeed(self, text: str) -> None:
        """Print a success message with the elapsed time."""
        say(f"{text} ({self.seconds:.1f} s)", colour=GREEN)

    def sum_up(self) -> None:
        """Print the summary of a committed load, and a closing line with its duration."""
        lines = self.summary.lines
        if lines:
            say("\n".join(lines) if is_terminal(sys.stdout) else "; ".join(lines))
        warned = f", {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        say(f"{self.summary.loaded(self.warehouse)} in {self.seconds:.1f} s{warned}", colour=GREEN)

    def warn(self, text: str) -> None:
        """Record and print a warning; the run goes on."""
        self.warnings.append(text)
        say(f"warning: {text}", colour=YELLOW)

    def end(self, status: int, error: str, outcome: str) -> str:
        """Write the report, if requested; return an error message or an empty string."""
        if self.report is None:
            return ""
        report = {
            "version": REPORT_VERSION,
            "started": self.started,
            "finished": now(),
            "mode": self.mode,
            "status": {0: "succeeded", 130: "stopped", 143: "stopped"}.get(status, "failed"),
            "exit_status": status,
            "outcome": outcome,
            "source": self.source,
            "target": self.target,
            "tries": self.tries,
            "steps": [asdict(step) for step in list(self.steps)],
            "checks": [check._asdict() for check in list(self.checks)],
            "warnings": self.warnings,
            "load_errors": self.load_errors,
            "summary": asdict(self.summary),
            "star": self.star,
            "error": error or None,
        }
        try:
            _write(self.report, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        except OSError as failure:
            return f"{self.report} could not be written: {failure.strerror}"
        return ""


def _write(report: Path, text: str) -> None:
    """Write a file atomically. A pipe or a device is written to directly."""
    if _is_device(report):
        report.write_text(text, encoding="utf-8")
        return
    with replacing(report) as file:
        file.write(text)


def _is_device(report: Path) -> bool:
    """Tell whether the path is a pipe or a device, such as /dev/stdout."""
    return report.exists() and not report.is_file() and not report.is_dir()


def _check_writable(report: Path) -> None:
    if report.is_dir() or not (_is_device(report) or os.access(report.parent, os.W_OK)):
        raise PipelineError(f"--report {report}: no file can be written there; nothing was changed")


def _check_is_report(report: Path) -> None:
    """Raise PipelineError if an existing file is neither empty nor a report: it may be the only copy of something."""
    if not report.exists():
        return
    with open(report, encoding="utf-8", errors="replace") as file:
        beginning = file.read(20)
    if beginning and not beginning.startswith(_BEGINNINGS):
        raise PipelineError(f"--report {report} exists and is not a report: name another file; nothing was changed")
