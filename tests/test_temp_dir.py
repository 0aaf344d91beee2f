"""With [S3] TEMP_DIR each file is loaded once, and small files travel packed: from local files and from S3."""

import contextlib
import errno
import gzip
import hashlib
import http.server
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from helpers import REAL_DATA, Warehouse, copy_database, event, needs_real_data, song
from s3_front import QuietHandler, S3Front
from test_concurrency import start
from test_etl import REAL_COUNTS
from test_faults import Paused
from test_load_errors import read_csv

import etl
import sql_queries
from pipeline import copy_plan, file_store, packing
from pipeline.errors import PipelineError, Stopped, Unreachable
from pipeline.file_store import FileStore, LocalFileStore, S3FileStore, SourceFile, file_store_of
from pipeline.packing import FileList
from pipeline.progress import SoFar, Watch
from pipeline.script import is_transient, try_until_done
from pipeline.session import Run
from pipeline.settings import read_settings

MANY = 20  # files, so that they are packed
BEFORE_COPY = str(len([sql_queries.staging_lock, *sql_queries.clear_staging_queries]))


class Temp:
    """A warehouse with a TEMP_DIR, whose source is on this machine or, uploaded before each load, in a bucket."""

    def __init__(self, warehouse: Warehouse, bucket: object | None) -> None:
        self.warehouse = warehouse
        self._bucket = bucket
        self._synced: dict[str, bytes] = {}
        self.root = str(warehouse.folder) if bucket is None else "s3://sparkify"
        names = {"LOG_DATA": "log-data/", "SONG_DATA": "song-data/", "TEMP_DIR": "temp"}
        warehouse.configure({("S3", key): f"{self.root}/{name}" for key, name in names.items()})

    def sync(self) -> None:
        """Upload the files that changed since the last time, and delete the objects of those that are gone."""
        if self._bucket is None:
            return
        here = {path.relative_to(self.warehouse.folder).as_posix(): path.read_bytes() for path in self._files()}
        for key, data in here.items():
            if self._synced.get(key) != data:
                self._bucket.put_object(Key=key, Body=data)
        for key in self._synced.keys() - here.keys():
            self._bucket.Object(key).delete()
        self._synced = here

    def _files(self) -> list[Path]:
        folders = ("log-data", "song-data")
        return [path for name in folders for path in (self.warehouse.folder / name).rglob("*") if path.is_file()]

    def load(self, mode: str = "", **options: bool) -> str:
        """Load in this process; what was said."""
        self.sync()
        return self.warehouse.output(mode, **options)

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        """Run etl.py."""
        self.sync()
        return self.warehouse.run("etl.py", *arguments, code=code)

    def put(self, name: str, data: bytes) -> None:
        """Write a file where TEMP_DIR is."""
        if self._bucket is not None:
            self._bucket.put_object(Key=name, Body=data)
            return
        path = self.warehouse.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def left(self) -> list[str]:
        """The names of the files under TEMP_DIR, and of folders with nothing in them."""
        if self._bucket is not None:
            return sorted(found.key for found in self._bucket.objects.filter(Prefix="temp/"))
        folder = self.warehouse.folder
        found = [path for path in (folder / "temp").rglob("*") if path.is_file() or not list(path.iterdir())]
        return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.fixture(params=["local", "s3"])
def temp(tables: Warehouse, request: pytest.FixtureRequest) -> Temp:
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        tables.environment = request.getfixturevalue("aws")
        made = Temp(tables, bucket)
    else:
        made = Temp(tables, None)
    tables.write_log([event()])
    tables.write_songs([song()])
    return made


@pytest.fixture
def many(temp: Temp) -> Temp:
    """Many song files, one of which is played."""
    temp.warehouse.write_songs([song(), *(song(song_id=f"SO{n}", title=f"T{n}") for n in range(2, MANY + 1))])
    return temp


def test_each_file_is_loaded_once(temp: Temp) -> None:
    assert "1 of 1 log files are new, 1 of 1 song files" in temp.run().stdout.splitlines()
    temp.warehouse.write_log([event(itemInSession=1)], "2018-11-02")
    second = temp.run().stdout
    assert "1 of 2 log files are new, 0 of 1 song files" in second.splitlines()
    assert (
        "s: 1 event, 1 of them plays, and 0 songs\n" in second and "; read from 1 log file and 0 song files\n" in second
    )
    assert temp.warehouse.counts() | {"songplays": 2, "songs": 1, "loaded_files": 3} == temp.warehouse.counts()
    loaded = temp.warehouse.star()
    temp.warehouse.create_tables()
    temp.load()
    assert temp.warehouse.star() == loaded
    assert temp.left() == []


def test_all_and_check_read_files_that_were_loaded(temp: Temp) -> None:
    temp.load()
    before = temp.warehouse.star()
    assert "1 of 1 log files are read, 1 of 1 song files" in temp.run("--all").stdout.splitlines()
    assert temp.warehouse.star() == before
    temp.warehouse.query("DELETE FROM songplays")
    temp.load(everything=True)
    assert temp.warehouse.counts()["songplays"] == 1
    temp.warehouse.configure({("S3", "MAXERROR"): "1"})
    temp.warehouse.write_log([event(), event(userId="me", itemInSession=1)])
    assert "1 record left out" in temp.load() and "no new files" in temp.load()
    assert "1 record would not load" in temp.run("--check", code=1).stderr


def test_nothing_new_is_no_copy_and_no_change(temp: Temp) -> None:
    temp.load()
    before = temp.warehouse.everything()
    output = temp.load()
    assert "0 of 1 log files are new, 0 of 1 song files\n" in output
    assert output.splitlines()[-1].startswith("no new files; nothing was changed in ") and "staged" not in output
    assert temp.warehouse.everything() == before
    assert temp.left() == []


@pytest.mark.parametrize("temp", ["s3"], indirect=True)
def test_object_that_is_uploaded_again_as_it_was_is_not_new(temp: Temp, bucket: object) -> None:
    temp.load()
    uploaded = bucket.Object("log-data/2018-11-01-events.json")
    first = uploaded.last_modified
    while uploaded.last_modified == first:  # it is told in whole seconds
        uploaded.put(Body=uploaded.get()["Body"].read())
        uploaded.reload()
    assert "no new files" in temp.load()


def test_file_that_was_loaded_as_songs_is_new_as_a_log(temp: Temp) -> None:
    temp.load()
    temp.warehouse.configure({("S3", "LOG_DATA"): f"{temp.root}/song-data/"})
    with pytest.raises(PipelineError, match="Missing data for not-null field"):
        temp.load()


def test_changed_file_is_loaded_again_and_a_file_that_is_gone_changes_nothing(temp: Temp) -> None:
    temp.warehouse.write_log([event(itemInSession=2)], "2018-11-02")
    temp.load()
    (temp.warehouse.folder / "log-data" / "2018-11-02-events.json").unlink()
    temp.warehouse.write_log([event(), event(itemInSession=1)])
    assert "1 of 1 log files are new, 0 of 1 song files" in temp.load().splitlines()
    assert temp.warehouse.counts() | {"songplays": 3, "loaded_files": 3} == temp.warehouse.counts()


def test_all_reads_every_file_again_and_changes_nothing(temp: Temp) -> None:
    temp.load()
    star = temp.warehouse.star()
    output = temp.load(everything=True)
    assert "1 of 1 log files are read" in output and "1 already there" in output
    assert temp.warehouse.star() == star
    assert temp.warehouse.counts()["loaded_files"] == 2


def test_many_small_files_travel_packed(many: Temp) -> None:
    output = many.load()
    assert re.search(rf"^packed {MANY} song files, 0\.0 MB, into 1 object in \d+\.\d\d s$", output, re.MULTILINE)
    assert "packed 1 log file" not in output and " log files, 0.0 MB" not in output
    assert f" and {MANY} songs\n" in output
    assert many.warehouse.query("SELECT song_id FROM songplays") == [("SO1",)]
    assert many.left() == []
    commits = many.warehouse.query("SELECT COUNT(*) FROM stl_load_commits WHERE filename LIKE '%song_data%'")
    assert commits == [(1,)]


@pytest.mark.parametrize(("limit", "value"), [("BATCH_FILES", 3), ("BATCH_BYTES", 700)])
def test_files_that_are_read_in_batches_are_each_packed_once(
    many: Temp, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(file_store, limit, value)
    many.load()
    assert many.warehouse.query("SELECT COUNT(*), COUNT(DISTINCT song_id) FROM staging_songs") == [(MANY, MANY)]


def test_progress_of_packing_counts_the_files_that_are_packed(many: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Watch] = []

    @contextlib.contextmanager
    def noted(label: str, watch: Watch, position: tuple[int, int] | None) -> Iterator[None]:
        watched.append(watch)
        assert watch() == SoFar(0, MANY, "0.0 MB")
        yield

    monkeypatch.setattr(copy_plan, "show_progress", noted)
    many.load()
    assert [watch() for watch in watched] == [SoFar(MANY, MANY, "0.0 MB")]


def test_error_in_a_packed_object_names_file_and_line(many: Temp) -> None:
    folder = many.warehouse.folder / "song-data"
    pretty = json.dumps(song(song_id="SO97"), indent=1)
    bad = json.dumps(song(song_id="SO98", artist_location="x" * 1025), indent=1)
    (folder / "TR0005.json").write_text(f"{pretty}\n{bad}")
    name = f"{many.root}/song-data/TR0005.json"
    before = many.warehouse.everything()
    last_line = (pretty + bad).count("\n") + 2  # an error is at the last line of its record
    result = many.run(code=1)
    said = f"{name}, line {last_line}, column artist_location varchar(1024): String length exceeds DDL length"
    assert said in result.stderr
    [row] = read_csv(many.warehouse)
    assert (row["source_file"], row["source_line"]) == (name, str(last_line))
    assert row["filename"].endswith("song_data-1.json.gz") and int(row["line_number"]) > last_line
    assert many.warehouse.everything() == before
    assert many.left() == []
    assert said in many.run("--check", code=1).stdout
    assert [row["source_file"] for row in read_csv(many.warehouse)] == [name]


def test_nothing_is_said_of_packing_once_the_run_is_stopped(many: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    many.sync()
    with many.warehouse.session(needs_source=True) as session:

        def stopped_at_the_end(*arguments: object) -> packing.Packed:
            packed = packing.pack(*arguments)
            session.run.stop()
            return packed

        monkeypatch.setattr(copy_plan, "pack", stopped_at_the_end)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), pytest.raises(Stopped):
            etl.load(session)
    assert "packed" not in said.getvalue() and many.left() == []


def test_error_in_a_packed_log_is_traced_where_songs_are_packed_after_it(
    temp: Temp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FEW", 0)
    temp.warehouse.write_log([event(), event(userId="me")])
    temp.sync()
    temp.warehouse.refusal()
    [row] = read_csv(temp.warehouse)
    assert (row["source_file"], row["source_line"]) == (f"{temp.root}/log-data/2018-11-01-events.json", "2")


def test_malformed_file_does_not_spoil_its_neighbours(many: Temp) -> None:
    folder = many.warehouse.folder / "song-data"
    (folder / "TR0003.json").write_text('{"song_id": "SO3", "title": "never ends')
    (folder / "TR0004.json").write_bytes(b"\xff\xfe{}")
    (folder / "TR0005.json").write_text("")
    (folder / "TR0006.json").write_text(json.dumps(song(song_id="SO6")) + "\n\n" + json.dumps(song(song_id="SO66")))
    checked = many.run("--check", code=1)
    assert f"packed {MANY - 3} song files, " in checked.stdout  # one is empty, and two are not whole
    named = set(re.findall(r"song-data/(TR\d+)\.json, line", checked.stdout))
    assert named == {"TR0003", "TR0004"}
    # COPY read both directly, since packing left them out
    rows = read_csv(many.warehouse)
    assert len(rows) >= 2
    assert all((row["source_file"], row["source_line"]) == (row["filename"], row["line_number"]) for row in rows)
    (folder / "TR0003.json").unlink()
    (folder / "TR0004.json").unlink()
    many.load()
    ids = {song_id for (song_id,) in many.warehouse.query("SELECT song_id FROM songs")}
    assert ids == {f"SO{n}" for n in (*range(1, MANY + 1), 66)} - {"SO4", "SO5", "SO7"}


def test_check_records_nothing(temp: Temp) -> None:
    before = temp.warehouse.everything()
    assert "every record can be copied" in temp.load("check")
    assert temp.warehouse.everything() == before and temp.left() == []


def id_of(warehouse: Warehouse) -> str:
    """Return the id in the names of this warehouse's folders under TEMP_DIR."""
    with warehouse.session() as session:
        return copy_plan.warehouse_id(session)


def test_next_run_removes_what_a_killed_one_left_behind_and_nothing_else(temp: Temp) -> None:
    own = id_of(temp.warehouse)
    other, number, old, now = "f" * 16, "0" * 16, "20181101T000000", "29991101T000000"
    left = [f"temp/etl-{own}/{now}-{number}/{name}" for name in ("song_data-1.json.gz", "log_data.manifest")]
    left += [f"temp/etl-{name}/{old}-{number}/log_data.manifest" for name in (other, "check")]
    kept = [
        f"temp/etl-{other}/{now}-{number}/log_data.manifest",  # of another warehouse
        f"temp/etl-check/{now}-{number}/log_data.manifest",  # of a check that is under way
        f"temp/etl-{own}/99999999T999999-{number}/log_data.manifest",
        f"temp/etl-{own}/mine/log_data.manifest",
        f"temp/etl-{own}/{now}-{number}/notes.txt",
        "temp/mine.json.gz",
    ]
    for name in left + kept:
        temp.put(name, b"{}")
    temp.load()
    temp.load("check")
    assert temp.left() == sorted(kept)


@pytest.mark.parametrize("everything", [False, True])
def test_tables_older_than_the_record_get_it(temp: Temp, everything: bool) -> None:
    temp.warehouse.query("DROP TABLE loaded_files")
    temp.load(everything=everything)
    assert temp.warehouse.counts() | {"songplays": 1, "loaded_files": 2} == temp.warehouse.counts()


def test_source_of_empty_files_is_one_without_events(temp: Temp) -> None:
    temp.load()
    (temp.warehouse.folder / "log-data" / "2018-11-01-events.json").write_text("")
    assert "1 of 1 log files are new, 0 of 1 song files" in temp.load().splitlines()
    assert "0 of 1 log files are new, 0 of 1 song files" in temp.load().splitlines()


@pytest.mark.parametrize("few", [0, 16])
def test_odd_names_are_loaded_and_recorded(temp: Temp, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "FEW", few)
    tables = temp.warehouse
    names = ("a#1", "b c", "d%20e", "f+g&h", "é'\"", *(("i\nj",) if temp.root.startswith("/") else ()))
    for number, name in enumerate(names, 1):
        tables.write_log([event(itemInSession=number)], name)
    temp.sync()
    if temp.root.startswith("s3://"):
        # no folder of this machine has no name; and one is behind all of the source
        temp.put("log-data/x//y.json", json.dumps(event(itemInSession=98)).encode())
        temp.put("zzz/./behind.json", b"{}")
    tables.load()
    plays = len(names) + 1 + temp.root.startswith("s3://")
    assert tables.counts() | {"songplays": plays, "loaded_files": plays + 1} == tables.counts()
    assert "no new files" in temp.load()


def test_prefix_may_have_folders_without_a_name(tables: Warehouse, bucket: object, aws: dict[str, str]) -> None:
    tables.write_songs([song()])
    tables.write_log([])
    temp = Temp(tables, bucket)
    tables.configure({("S3", "LOG_DATA"): "s3://sparkify/lo//gs"})
    temp.put("lo//gs/a//x.json", json.dumps(event()).encode())
    assert "1 of 1 log files are new, 1 of 1 song files" in temp.load().splitlines()
    assert "no new files" in temp.load()


def test_local_name_that_is_no_text_is_one_message(tables: Warehouse) -> None:
    temp = Temp(tables, None)
    tables.write_songs([song()])
    log = tables.write_log([event()])
    try:
        log.rename(os.fsdecode(os.fsencode(log.parent) + b"/caf\xe9.json"))
    except OSError:
        pytest.skip("names have to be UTF-8 here")
    with pytest.raises(PipelineError, match=r"can't read \S+/caf\\udce9.json with .* the file's name is not UTF-8"):
        temp.load()
    assert "the file's name is not UTF-8" in temp.run("--check", code=1).stderr


def test_packed_objects_are_removed_where_a_later_one_cant_be_written(
    temp: Temp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FEW", 0)
    monkeypatch.setattr(packing, "PACKED_BYTES", 1)
    temp.warehouse.write_songs([song(song_id=f"SO{n}") for n in range(4)])
    temp.sync()
    kind = LocalFileStore if temp.root.startswith("/") else S3FileStore
    write = kind.write

    def fails_at_the_third(self: FileStore, name: str, data: object) -> None:
        if name.endswith("song_data-3.json.gz"):
            assert len(temp.left()) > 2
            raise PipelineError("no room")
        write(self, name, data)

    monkeypatch.setattr(kind, "write", fails_at_the_third)
    with pytest.raises(PipelineError, match="no room"):
        temp.warehouse.load()
    assert temp.left() == []


def test_two_runs_at_once_queue_up_and_the_second_finds_nothing_new(many: Temp) -> None:
    many.sync()
    outputs = []
    for process in [start(many.warehouse, "etl.py") for _ in range(2)]:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        outputs.append("no new files" in output)
    assert sorted(outputs) == [False, True]
    assert many.warehouse.counts() | {"songplays": 1, "songs": MANY} == many.warehouse.counts()
    assert many.left() == []


def test_prefix_without_a_file_fails_and_names_the_key(temp: Temp) -> None:
    temp.warehouse.configure({("S3", "LOG_DATA"): f"{temp.root}/nothing"})
    assert f"starts with {temp.root}/nothing; see [S3] LOG_DATA in" in temp.run(code=1).stderr


def test_prefix_is_any_beginning_of_a_name_as_it_is_for_copy(temp: Temp) -> None:
    for name in ("2018-11-01b", "2018-11-02", "2018-10-31"):
        temp.warehouse.write_log([event(itemInSession=int(name[8:10]), location=name[:10])], name)
    temp.warehouse.configure({("S3", "LOG_DATA"): f"{temp.root}/log-data/2018-11-01"})
    assert "2 of 2 log files are new, 1 of 1 song files" in temp.load().splitlines()


def test_prefix_may_be_the_whole_name_of_a_file(temp: Temp) -> None:
    temp.warehouse.configure({("S3", "LOG_DATA"): f"{temp.root}/log-data/2018-11-01-events.json"})
    assert "1 of 1 log files are new, 1 of 1 song files" in temp.load().splitlines()


@pytest.mark.parametrize("held", ["song_data-1.json.gz", "files.json.gz"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_changes_nothing_and_what_it_left_goes_with_the_next(
    tables: Warehouse, bucket: object, aws: dict[str, str], s3_front: S3Front, held: str, number: signal.Signals
) -> None:
    tables.environment = aws
    temp = Temp(tables, bucket)
    tables.write_log([event()])
    tables.write_songs([song(song_id=f"SO{n}", title=f"T{n}") for n in range(MANY)])
    temp.sync()
    before = tables.everything()
    s3_front.held = held
    process = start(tables, "etl.py")
    assert s3_front.asked.wait(120)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    s3_front.held = ""
    s3_front.let_go.set()
    assert tables.everything() == before
    assert temp.left() or number == signal.SIGTERM
    temp.load()
    assert tables.counts() | {"songplays": 1, "songs": MANY + 1, "loaded_files": MANY + 1} == tables.counts()
    assert temp.left() == []


def test_file_that_changes_after_it_was_listed_is_read_again_next_time(
    temp: Temp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FEW", 0)
    temp.sync()
    pack = copy_plan.pack

    def pack_what_has_changed(*arguments: object) -> packing.Packed:
        temp.warehouse.write_log([event(), event(itemInSession=1)])
        temp.sync()
        return pack(*arguments)

    with monkeypatch.context() as changing:
        changing.setattr(copy_plan, "pack", pack_what_has_changed)
        temp.warehouse.load()
    assert temp.warehouse.counts()["songplays"] == 2
    assert "1 of 1 log files are new" in temp.load()
    assert "no new files" in temp.load()


@pytest.mark.parametrize(
    "broken",
    [
        "file_store.LocalFileStore.list",
        "file_store.LocalFileStore.read",
        "file_store.LocalFileStore.write",
        "copy_plan._manifest",
        "copy_plan._record",
        "packing.is_whole",
    ],
)
def test_failure_anywhere_leaves_tables_and_record_as_they_were(
    tables: Warehouse, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FEW", 0)
    temp = Temp(tables, None)
    tables.write_songs([song()])
    tables.write_log([event()])
    tables.load()
    tables.write_log([event(itemInSession=1)], "2018-11-02")
    before = tables.everything()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(f"pipeline.{broken}", fail)
        with pytest.raises((PipelineError, OSError)):
            tables.load()
    assert tables.everything() == before and temp.left() == []
    tables.load()
    assert tables.counts() | {"songplays": 2, "loaded_files": 3} == tables.counts()


@pytest.mark.parametrize("name", ["new_files_copy", "loaded_files_insert", "songplays_table_insert", "staged_check"])
def test_statement_that_fails_leaves_tables_and_record_as_they_were(
    temp: Temp, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    temp.load()
    temp.warehouse.write_log([event(itemInSession=1)], "2018-11-02")
    temp.sync()
    before = temp.warehouse.everything()
    with monkeypatch.context() as failing:
        for queries in ("record_files_queries", "insert_table_queries", "check_queries"):
            listed = getattr(sql_queries, queries)
            changed = ["SELECT nothing" if query == getattr(sql_queries, name) else query for query in listed]
            failing.setattr(sql_queries, queries, changed)
        failing.setattr(sql_queries, name, sql_queries.Copy("SELECT nothing", "a table", ("temp_dir",)))
        with pytest.raises(PipelineError):
            temp.warehouse.load()
    assert temp.warehouse.everything() == before and temp.left() == []
    temp.load()
    assert temp.warehouse.counts() | {"songplays": 2, "loaded_files": 3} == temp.warehouse.counts()


@needs_real_data
def test_real_days_one_by_one_end_in_the_counts_of_all(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "FEW", 0)  # so that each is packed
    tables.configure({("S3", "TEMP_DIR"): "temp", ("S3", "SONG_DATA"): f"{REAL_DATA}/song-data"})
    days = sorted((REAL_DATA / "log-data").rglob("*.json"))
    for number, day in enumerate(days, 1):
        path = tables.folder / "log-data" / day.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(day.read_bytes())
        tables.load()
        assert tables.counts()["loaded_files"] == number + len(list((REAL_DATA / "song-data").rglob("*.json")))
    found = tables.counts()
    names = ("songplays", "users", "songs", "artists", "time")
    assert {name: found[name] for name in names} == {name: REAL_COUNTS[name] for name in names}


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", True),
        (b" \n\t\r\n", True),
        (b'{"a": 1}', True),
        (b'{"a": 1}{"b": [{}, "}{"]}\n', True),
        (b'{\n"a":\n1\n}\n\n{}', True),
        (b'{"a": 1', False),
        (b'{"a": 1},{"a": 1}', False),
        (b'[{"a": 1}]', False),
        (b'{"a": NaN}', False),
        (b'{"a": "\n"}', False),  # a line break within a text
        (b"\xef\xbb\xbf{}", False),
        (b'{"a": "\xff"}', False),
        (b"{}x", False),
        (b'{"a": ' + b"[" * 100_000, False),
    ],
)
def test_only_files_of_whole_objects_are_packed(data: bytes, whole: bool) -> None:
    assert packing.is_whole(data) is whole


def test_packed_objects_are_few_and_hold_every_file_in_its_order(tmp_path: Path) -> None:
    store = file_store_of("/", "us-west-2")
    texts = {f"{n:04}": json.dumps({"n": n, "x": "y" * 50_000}) for n in range(400)}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = FileList()
    for file in store.list(f"{tmp_path}/"):
        files.append(file)
    files.sort()
    counted = []

    def write(stem: str, data: IO[bytes]) -> str:
        (tmp_path / f"packed-{stem}").write_bytes(data.read())
        return f"{tmp_path}/packed-{stem}"

    packed = packing.pack(store, files, write, counted.append)
    assert [Path(made.name).name for made in packed.objects] == ["packed-1.json.gz", "packed-2.json.gz"]
    unpacked = [gzip.decompress(Path(made.name).read_bytes()).decode().splitlines() for made in packed.objects]
    assert [line for part in unpacked for line in part] == list(texts.values())
    assert len(counted) == 400 and not packed.left
    assert packed.objects[1].origin(1) == (f"{tmp_path}/{len(unpacked[0]):04}", 1)
    last = len(unpacked[1])
    assert packed.objects[1].origin(last) == (f"{tmp_path}/0399", 1)
    assert packed.objects[1].origin(0) is None and packed.objects[1].origin(last + 1) is None


class Refusing(QuietHandler):
    """An S3 that refuses what is asked of it."""

    def do_GET(self) -> None:
        self.reply(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    do_PUT = do_POST = do_DELETE = do_GET


@pytest.fixture
def refusing(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FileStore]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield file_store_of("s3://sparkify/", "us-west-2")
    server.shutdown()
    server.server_close()


def test_profile_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PipelineError, match=r"S3 can't be reached from this machine: .*nobody"):
        file_store_of("s3://sparkify/temp", "us-west-2")


FILE = SourceFile("s3://sparkify/a/b", 1)


@pytest.mark.parametrize(
    ("right", "attempt"),
    [
        ("s3:ListBucket", lambda store: list(store.list("s3://sparkify/a/"))),
        ("s3:GetObject", lambda store: list(store.read([FILE]))),
        ("s3:PutObject", lambda store: store.write(FILE.name, io.BytesIO(b"x"))),
        ("s3:DeleteObject", lambda store: store.delete([FILE.name])),
    ],
)
def test_right_that_is_missing_is_named(
    refusing: FileStore, right: str, attempt: Callable[[FileStore], object]
) -> None:
    with pytest.raises(
        PipelineError, match=f"access denied; the AWS identity of this machine needs {right} there"
    ) as one:
        attempt(refusing)
    assert "\n" not in str(one.value) and "s3://sparkify/a/" in str(one.value)


def test_no_aws_credentials_are_one_message() -> None:
    with pytest.raises(PipelineError, match="S3 can't be reached from this machine: it has no AWS credentials"):
        file_store_of("s3://sparkify/temp", "us-west-2")


def test_temp_dir_that_cant_be_written_changes_nothing(many: Temp) -> None:
    many.warehouse.configure(
        {("S3", "TEMP_DIR"): "blocked" if many.root.startswith("/") else "s3://no-such-bucket/temp"}
    )
    (many.warehouse.folder / "blocked").write_text("a file")
    before = many.warehouse.everything()
    many.sync()
    result = many.warehouse.run("etl.py", code=1)
    why = "File exists|Not a directory" if many.root.startswith("/") else "there is no such bucket"
    assert re.search(rf"can't (list|write) \S+: ({why}); see \[S3\] TEMP_DIR in ", result.stderr)
    assert "trying again" not in result.stderr and "can't delete" not in result.stderr
    assert many.warehouse.everything() == before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("s3://bucket", "is a whole bucket or disk; name a folder in it"),
        ("/", "is a whole bucket or disk; name a folder in it"),
        ("s3://bucket/a//temp", "must not contain an empty folder name, '.' or '..'"),
        ("s3://bucket/temp", "and LOG_DATA must both be in S3, or both on this machine"),
        ("log-data/temp", "is itself under LOG_DATA; name another folder"),
        ("songs", "is itself under SONG_DATA; name another folder"),
        ("x" * 200, "is longer than 180 bytes"),
    ],
)
def test_temp_dir_that_makes_no_sense_is_refused(tables: Warehouse, value: str, said: str) -> None:
    tables.configure({("S3", "TEMP_DIR"): value, ("S3", "SONG_DATA"): "songs/"})
    assert said in tables.refusal()


def test_full_path_of_temp_dir_has_at_most_180_bytes(tables: Warehouse) -> None:
    left = 180 - len(f"{tables.folder}/".encode())
    tables.configure({("S3", "TEMP_DIR"): "x" * left})
    assert len(read_settings(tables.config, needs_source=True).source.temp_dir) == 180
    tables.configure({("S3", "TEMP_DIR"): "x" * (left + 1)})
    assert "its full path is longer than 180 bytes" in tables.refusal()


def test_temp_dir_is_in_s3_if_the_data_are(tables: Warehouse) -> None:
    tables.use("s3://sparkify")
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    assert "and LOG_DATA must both be in S3, or both on this machine" in tables.refusal()


@pytest.mark.parametrize(
    ("sizes", "packed"),
    [
        ([100] * 16, 0),
        ([100] * 17, 17),
        ([100] * 17 + [1 << 20], 17),
        ([100] * 17 + [(1 << 20) - 1], 18),
        ([(1 << 20) - 1] * 4200, 4096),
    ],
)
def test_more_than_16_files_under_a_megabyte_are_packed_up_to_4_gigabytes(sizes: list[int], packed: int) -> None:
    files = FileList()
    for number, size in enumerate(sizes):
        files.append(SourceFile(f"/{number}", size))
    small, others = packing.divide(LocalFileStore(), files)
    assert (len(small), len(others)) == (packed, len(sizes) - packed)
    assert small.size <= 4 << 30


def test_files_are_sorted_with_their_sizes() -> None:
    files = FileList()
    for name, size in (("b", 2), ("c", 3), ("a", 1)):
        files.append(SourceFile(name, size))
    files.sort()
    assert list(files) == [SourceFile("a", 1), SourceFile("b", 2), SourceFile("c", 3)]


def test_key_that_ends_in_a_slash_fails_the_load_unless_it_is_empty(
    tables: Warehouse, bucket: object, aws: dict[str, str]
) -> None:
    # what consoles draw as a folder is an empty object
    tables.write_log([event()])
    tables.write_songs([song()])
    temp = Temp(tables, bucket)
    temp.put("log-data/2018/", b"")
    assert "1 play loaded into" in temp.load() and "no new files" in temp.load()
    temp.put("log-data/2018/", json.dumps(event(itemInSession=1)).encode())
    with pytest.raises(PipelineError, match="log-data/2018"):
        temp.load()


def test_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("{}")
    store = file_store_of("/", "us-west-2")
    files = list(store.list(f"{tmp_path}/"))
    (tmp_path / "one").unlink()
    with pytest.raises(
        Unreachable, match=f"can't read {tmp_path}/one: it has been deleted or moved since it was listed"
    ):
        list(store.read(files))


@pytest.mark.parametrize("few", [0, 16])
def test_object_of_which_half_arrives_is_not_taken_for_whole(
    tables: Warehouse, s3_front: S3Front, bucket: object, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(packing, "FEW", few)
    tables.write_log([event(itemInSession=n) for n in (1, 2)])  # of the same length
    tables.write_songs([song()])
    temp = Temp(tables, bucket)
    temp.sync()
    s3_front.cut_off = "-events.json"  # between the two
    with pytest.raises(PipelineError) as raised:
        tables.load()
    assert is_transient(raised.value) and tables.counts()["songplays"] == 0


def test_endpoint_of_s3_alone_is_taken(
    tables: Warehouse, bucket: object, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    temp = Temp(tables, bucket)
    tables.write_log([event()])
    tables.write_songs([song()])
    temp.sync()
    with monkeypatch.context() as alone:
        alone.setenv("AWS_ENDPOINT_URL_S3", aws["AWS_ENDPOINT_URL"])
        alone.delenv("AWS_ENDPOINT_URL")
        assert "1 play loaded into" in tables.output()
        tables.output("check")
        assert tables.output("ping").count("can be read") == 2


def test_file_that_is_half_written_goes(temp: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    if temp.root.startswith("s3://"):
        pytest.skip("S3 has whole objects only")

    def half(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", half)
    with pytest.raises(PipelineError, match=r"No space left on device; see \[S3\] TEMP_DIR in"):
        temp.load()
    assert temp.left() == []


def test_what_passes_while_temp_dir_is_written_is_tried_again(
    tables: Warehouse, s3_front: S3Front, bucket: object, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    temp = Temp(tables, bucket)
    temp.sync()
    s3_front.error = (404, b"<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>")
    tables.load("check")
    s3_front.fails_at = next(n for n, request in enumerate(s3_front.requests, 1) if request.startswith("PUT"))
    settings, run = read_settings(tables.config, needs_source=True), Run()
    try_until_done(lambda: etl.main(settings, run, etl.parser().parse_args(["--check"])), settings, run, (0,))
    assert "see [S3] TEMP_DIR in" in (said := capsys.readouterr().err) and "trying again" in said


def test_folder_under_temp_dir_is_of_one_machine(temp: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    here = id_of(temp.warehouse)
    monkeypatch.setattr(platform, "node", lambda: "another")  # with a copied data directory in the same place
    assert id_of(temp.warehouse) != here


def test_two_warehouses_of_one_mark_leave_each_others_files(temp: Temp, tmp_path: Path) -> None:
    """A restored snapshot, or a copied database, has the mark of the first."""
    temp.sync()
    temp.warehouse.run("etl.py", "--check")
    (tmp_path / "twin").mkdir()
    twin = Warehouse(tmp_path / "twin", temp.warehouse.data_dir)
    twin.environment = temp.warehouse.environment
    name = temp.warehouse.values["CLUSTER", "DB_NAME"]
    copy_database(twin.data_dir, name, f"{name}twin")
    twin.configure(temp.warehouse.values | {("CLUSTER", "DB_NAME"): f"{name}twin"})
    paused = Paused(temp.warehouse, BEFORE_COPY)
    assert twin.output().count("play loaded into") == 1
    paused.finish(0)
    assert temp.warehouse.counts() == twin.counts() and temp.warehouse.counts()["songplays"] == 1
    assert temp.left() == []


def test_versions_are_told_apart_on_a_host_in_fips_mode(temp: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = hashlib.md5

    def strict(data: bytes = b"", *, usedforsecurity: bool = True) -> object:
        if usedforsecurity:
            raise ValueError("[digital envelope routines] unsupported")
        return md5(data)

    monkeypatch.setattr(hashlib, "md5", strict)
    temp.load()
    assert "no new files" in temp.load()


def test_file_of_another_size_is_new_whatever_its_time_is(tables: Warehouse) -> None:
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    log = tables.write_log([event()])
    os.utime(log, ns=(10**18, 10**18))
    tables.load()
    tables.write_log([event(), event(itemInSession=1)])
    os.utime(log, ns=(10**18, 10**18))
    assert "1 play loaded into" in tables.output()


def test_file_that_changed_within_the_second_is_new(tables: Warehouse) -> None:
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    log = tables.write_log([event(itemInSession=1)])
    os.utime(log, ns=(10**18, 10**18))
    tables.load()
    tables.write_log([event(itemInSession=2)])  # of the same size
    os.utime(log, ns=(10**18, 10**18 + 1000))
    assert "1 play loaded into" in tables.output()
