"""Each call of a load that leaves the process fails once, wherever it is made: nothing is half done, and it is said."""

import contextlib
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Warehouse, event, song
from s3_front import S3Front

import etl
from pipeline import packing, run_log
from pipeline.script import run_script

DENIED = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
DISK_CALLS = {"open", "os.scandir", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
NO_HARM = "the remaining files do no harm"
COMMITTED = "everything had been committed"


class Disk:
    """The files under a folder, of whose calls one fails. Python tells an audit hook of each before it is made."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.fails_at = 0  # which call from now on fails, 1 being the next
        self.failed = ""
        sys.addaudithook(self._hear)

    def _hear(self, call: str, arguments: tuple) -> None:
        if self.folder is None or call not in DISK_CALLS or not isinstance(arguments[0], str | Path):
            return
        if not Path(arguments[0]).is_relative_to(self.folder):
            return
        self.fails_at -= 1
        if self.fails_at == 0:
            self.failed = f"{call} {arguments[0]}"
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))


@pytest.fixture(scope="session")
def audited_disk() -> Disk:
    return Disk()  # a hook stays as long as the process


@pytest.fixture
def disk(audited_disk: Disk) -> Iterator[Disk]:
    yield audited_disk
    audited_disk.folder = None


class Loads:
    """Loads of one source with a TEMP_DIR, small files packed, by the script's own function; each ends as it should."""

    def __init__(self, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warehouse = warehouse
        self._patch = monkeypatch
        self.report = warehouse.folder / "report.json"
        monkeypatch.setattr(packing, "FEW", 0)
        warehouse.write_log([event(), event(song="Other", itemInSession=1)])
        warehouse.write_songs([song(), song(song_id="SO2")])
        warehouse.configure({("S3", "TEMP_DIR"): str(warehouse.folder / "temp")})

    def run(self) -> tuple[int, str]:
        """Exit status and messages of a load."""
        self._patch.setattr(
            sys, "argv", ["etl.py", "--config", str(self.warehouse.config), "--report", str(self.report)]
        )
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        errors = io.StringIO()
        try:
            with (
                open(os.devnull, "w") as nothing,
                contextlib.redirect_stdout(nothing),
                contextlib.redirect_stderr(errors),
            ):
                status = run_script(etl.main, etl.parser().parse_args(), "load", (), needs_source=True)
        finally:
            run_log._stamped.clear()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return status, errors.getvalue()

    def assert_right(self, status: int, errors: str, failed: str) -> None:
        """That exit status, report, message and tables agree on what was loaded: all or nothing."""
        loaded = status == 0 or COMMITTED in errors
        counts = self.warehouse.counts()
        assert counts["songplays"] == (2 if loaded else 0), failed
        assert counts["loaded_files"] == (3 if loaded else 0), failed
        assert "Traceback" not in errors and (status == 0 or errors), failed
        if str(self.report) in failed or str(self.report) in errors:
            assert status == 1 and ("could not be written" in errors or "can't be written" in errors), failed
            return
        told = json.loads(self.report.read_text())
        assert (told["exit_status"], told["status"]) == (status, "failed" if status else "succeeded"), failed
        assert told["outcome"] == ("committed" if loaded else "unchanged"), failed
        assert (told["summary"]["plays_staged"] > 0) == loaded and bool(told["error"]) == bool(status), failed


@pytest.fixture
def loads(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Loads:
    return Loads(tables, monkeypatch)


def test_disk_fails_at_each_call(loads: Loads, disk: Disk) -> None:
    for number in range(1, 100):
        loads.warehouse.empty()
        disk.folder, disk.fails_at, disk.failed = loads.warehouse.folder, number, ""
        status, errors = loads.run()
        disk.folder = None
        if not disk.failed:
            break
        loads.assert_right(status, errors, disk.failed)
        left = [path for path in (loads.warehouse.folder / "temp").rglob("*") if path.is_file()]
        assert not left or NO_HARM in errors, disk.failed
    assert number > 20 and (status, errors) == (0, "")
    assert not [path for path in (loads.warehouse.folder / "temp").rglob("*") if path.is_file()]


@pytest.fixture
def s3_loads(loads: Loads, bucket: object, s3_front: S3Front) -> Loads:
    for path in loads.warehouse.folder.rglob("*.json"):
        bucket.upload_file(str(path), path.relative_to(loads.warehouse.folder).as_posix())
    loads.warehouse.use("s3://sparkify")
    bucket.upload_file(loads.warehouse.values["S3", "LOG_JSONPATH"], "paths.json")
    places = {("S3", "LOG_JSONPATH"): "s3://sparkify/paths.json", ("S3", "TEMP_DIR"): "s3://sparkify/temp"}
    loads.warehouse.configure(places)
    return loads


def test_s3_refuses_each_request(s3_loads: Loads, s3_front: S3Front, bucket: object) -> None:
    s3_front.error = DENIED
    for number in range(1, 100):
        s3_loads.warehouse.empty()
        s3_front.requests.clear()
        s3_front.fails_at = number
        status, errors = s3_loads.run()
        if s3_front.fails_at > 0:
            break
        failed = s3_front.requests[number - 1]
        s3_loads.assert_right(status, errors, failed)
        left = [found.key for found in bucket.objects.filter(Prefix="temp/")]
        assert not left or NO_HARM in errors, failed
    assert number > 10 and (status, errors) == (0, "")
    assert not list(bucket.objects.filter(Prefix="temp/"))
