"""What a run prints, at a terminal and in a log, and its report."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict

import boto3
import pytest
from helpers import ROOT, Warehouse, at_terminal, event, run_as_admin, song, upload
from s3_front import S3Front

from pipeline.errors import PipelineError
from pipeline.summary import Summary

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


# the summary of a run that loads nothing
NOTHING = asdict(Summary())


def in_a_log(warehouse: Warehouse, *options: str, script: str = "etl.py") -> subprocess.CompletedProcess:
    """Run a script as cron does; its output as it stands in the log."""
    command = [sys.executable, str(ROOT / script), "--config", str(warehouse.config), *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | warehouse.environment, timeout=120
    )


@pytest.fixture
def sourced(tables: Warehouse) -> Warehouse:
    tables.write_log([event()])
    tables.write_songs([song()])
    return tables


def test_each_line_of_a_log_begins_with_the_time(sourced: Warehouse) -> None:
    ran = in_a_log(sourced)
    lines = ran.stdout.splitlines()
    assert len(lines) == 6 and all(re.match(rf"{STAMP}(  |$)", line) for line in lines)
    sourced.configure({("S3", "LOG_DATA"): "nothing-here"})
    failed = in_a_log(sourced).stderr.splitlines()
    assert len(failed) > 1 and all(re.match(rf"{STAMP}  ", line) for line in failed)


def test_first_line_says_what_goes_where(sourced: Warehouse) -> None:
    name, folder = sourced.values["CLUSTER", "DB_NAME"], sourced.values["CLUSTER", "DATA_DIR"]
    first = in_a_log(sourced).stdout.splitlines()[0]
    assert re.sub(STAMP, "", first) == (
        f"  {sourced.folder}/log-data, {sourced.folder}/song-data -> {name}.public on local ({folder}) (user dwhuser)"
    )
    first = in_a_log(sourced, "--yes", script="create_tables.py").stdout.splitlines()[0]
    assert re.sub(STAMP, "", first) == f"  {name}.public on local ({folder}) (user dwhuser)"


def test_terminal_shows_tables_and_v_all_statements(sourced: Warehouse) -> None:
    sourced.load()
    code, screen = at_terminal(sourced, "", script="etl.py")
    lines = screen.splitlines()
    assert code == 0 and len(lines) <= 24
    assert re.match(rf"{STAMP}  .* -> ", lines[0]) and not any(re.match(STAMP, line) for line in lines[1:])
    assert "  songplays            0           0           1" in lines
    assert not [line for line in lines if line.startswith("songs_table_delete")]
    _, everything = at_terminal(sourced, "", "-v", script="etl.py")
    assert "songs_table_delete: 0 rows" in everything


@pytest.mark.parametrize("no_color", [False, True])
def test_last_line_at_a_terminal_is_green_or_the_error_red(
    sourced: Warehouse, monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    green, red, plain = ("", "", "") if no_color else ("\33[32m", "\33[31m", "\33[0m")
    _, screen = at_terminal(sourced, "", script="etl.py")
    loaded = screen.splitlines()[-1]
    assert loaded.startswith(f"{green}1 play loaded into ") and loaded.endswith(f" s{plain}")
    sourced.configure({("S3", "LOG_DATA"): "nothing-here"})
    code, screen = at_terminal(sourced, "", script="etl.py")
    assert code == 1 and f"\n{red}etl.py: staging_events_copy" in screen.replace("\r", "")


def test_two_statements_on_one_table_are_told_apart(sourced: Warehouse) -> None:
    said = in_a_log(sourced, "-v").stdout
    assert len(re.findall(r"  songs_table_insert: ", said)) == len(re.findall(r"  inferred_songs_insert: ", said)) == 1


def test_report_has_what_was_told(sourced: Warehouse) -> None:
    path = sourced.folder / "report.json"
    in_a_log(sourced, "--report", str(path))
    report = json.loads(path.read_text())
    assert (report["status"], report["exit_status"], report["error"]) == ("succeeded", 0, None)
    assert report["outcome"] == "committed" and report["tries"] == 1
    assert re.fullmatch(STAMP, report["started"]) and report["finished"] >= report["started"]
    assert report["source"]["log_data"] == f"{sourced.folder}/log-data"
    assert report["target"]["database"] == sourced.values["CLUSTER", "DB_NAME"]
    copied = next(step for step in report["steps"] if step["name"] == "staging_events_copy")
    assert copied["rows"] == 1 and copied["seconds"] >= 0
    assert report["summary"]["tables"]["songplays"] == {"new": 1, "changed": 0, "removed": 0, "unchanged": 0}
    assert report["summary"]["files"] == {"log_data": 1, "song_data": 1}
    assert {"name": "duplicate user_id in users", "found": 0, "example": None} in report["checks"]


def test_report_of_a_rerun_has_the_check_for_conflicts(sourced: Warehouse) -> None:
    path = sourced.folder / "report.json"
    in_a_log(sourced)
    in_a_log(sourced, "--report", str(path))
    name = "staged plays differ from the play of the same key"
    assert {"name": name, "found": 0, "example": None} in json.loads(path.read_text())["checks"]


def test_report_of_a_failed_run_has_the_error(sourced: Warehouse) -> None:
    path = sourced.folder / "report.json"
    sourced.write_songs([song(artist_location="x" * 2000)])
    ran = in_a_log(sourced, "--report", str(path))
    report = json.loads(path.read_text())
    assert ran.returncode == report["exit_status"] == 1 and report["status"] == "failed"
    assert "String length exceeds DDL length" in report["error"] and report["outcome"] == "unchanged"
    assert report["steps"][-1]["name"] == "staging_events_copy" and report["summary"] == NOTHING
    [error] = report["load_errors"]
    assert (error["line"], error["column"], error["code"]) == ("1", "artist_location", "1204")


REFUSE_COMMIT = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Disk Full'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON songplays DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.refuse()
"""


def test_report_of_a_load_whose_commit_is_refused_says_that_nothing_was_loaded(sourced: Warehouse) -> None:
    run_as_admin(sourced.data_dir, REFUSE_COMMIT, sourced.values["CLUSTER", "DB_NAME"])
    path = sourced.folder / "report.json"
    assert "Disk Full" in sourced.run("etl.py", "--report", str(path), code=1).stderr
    report = json.loads(path.read_text())
    assert (report["outcome"], report["summary"]) == ("unchanged", NOTHING)
    assert sourced.counts()["songplays"] == 0


@pytest.mark.parametrize("mode", ["--check", "--verify", "--ping", "--status"])
def test_report_of_a_run_that_loads_nothing(sourced: Warehouse, mode: str) -> None:
    path = sourced.folder / "report.json"
    sourced.run("etl.py", mode, "--report", str(path))
    report = json.loads(path.read_text())
    assert (report["status"], report["exit_status"], report["summary"]) == ("succeeded", 0, NOTHING)
    assert (report["mode"], report["outcome"]) == (mode.removeprefix("--"), "unchanged")


def test_report_has_the_fields_of_the_documentation_in_every_run(sourced: Warehouse) -> None:
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.split("## The report")[1].split("\n## ")[0], re.MULTILINE)
    documented = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    path = sourced.folder / "report.json"
    for script, options, code in (
        ("create_tables.py", ["--yes"], 0),
        ("etl.py", [], 0),
        ("etl.py", ["--config", "nothing"], 1),
        ("etl.py", ["--status"], 0),
    ):
        sourced.run(script, *options, "--report", str(path), code=code)
        report = json.loads(path.read_text())
        assert fields_of(report) == {name for name in documented if not name.startswith("star.")}
    star = report["star"]
    assert {f"star.{name}" for name in star} == {name for name in documented if name.startswith("star.")}


def fields_of(report: dict) -> set[str]:
    """The names of the fields of a report, those of its summary after a dot."""
    return {name for name in report if name != "summary"} | {f"summary.{name}" for name in report["summary"]}


def test_report_to_a_pipe_is_written_once_at_the_end(sourced: Warehouse) -> None:
    lines = in_a_log(sourced, "--report", "/dev/stdout").stdout.splitlines()
    began = lines.index("{")
    assert json.loads("\n".join(lines[began:]))["status"] == "succeeded"
    assert not any("running" in line for line in lines[:began])


def test_report_of_create_tables(sourced: Warehouse) -> None:
    path = sourced.folder / "report.json"
    sourced.run("create_tables.py", "--yes", "--report", str(path))
    report = json.loads(path.read_text())
    assert (report["status"], report["outcome"], report["source"]) == ("succeeded", "committed", {})


def test_report_of_a_stopped_run_says_so(sourced: Warehouse) -> None:
    path = sourced.folder / "report.json"
    blocking = sourced.connect()
    blocking.cursor().execute("LOCK staging_events")
    command = [sys.executable, str(ROOT / "etl.py"), "--config", str(sourced.config), "--report", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    process.stdout.readline()
    assert json.loads(path.read_text())["status"] == "running"  # as it stays if the run is killed
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    process.stdout.close()
    blocking.close()
    report = json.loads(path.read_text())
    assert (report["status"], report["error"]) == ("stopped", "terminated; nothing was changed")


def test_report_that_cant_be_written_at_the_end_fails_a_run_that_has_loaded(sourced: Warehouse) -> None:
    folder = sourced.folder / "reports"
    folder.mkdir()
    blocking = sourced.connect()
    blocking.cursor().execute("LOCK users")
    command = [
        sys.executable,
        str(ROOT / "etl.py"),
        "--config",
        str(sourced.config),
        "-v",
        "--report",
        str(folder / "r.json"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any("inferred_artists_insert" in line for line in process.stdout)
    shutil.rmtree(folder)
    blocking.close()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"{folder}/r.json could not be written: No such file or directory; everything had been committed" in errors
    assert sourced.counts()["songplays"] == 1


def test_report_that_cant_be_written_is_said_before_anything_is_done(sourced: Warehouse) -> None:
    before = sourced.everything()
    ran = in_a_log(sourced, "--report", "/nowhere/report.json")
    assert ran.returncode == 1 and "--report /nowhere/report.json" in ran.stderr
    assert sourced.everything() == before


def test_ping_says_that_all_is_well_and_changes_nothing(sourced: Warehouse) -> None:
    before = sourced.everything()
    said = sourced.run("etl.py", "--ping").stdout
    assert re.search(r"^connected to \S+ on .* as dwhuser \(Redshift 1\.0\.\d+[^\n]*\)$", said, re.MULTILINE)
    assert "all 8 tables exist" in said
    assert said.count("can be read") == 2
    assert sourced.everything() == before


def test_ping_names_the_prefix_that_cant_be_listed_from_here(
    sourced: Warehouse, s3_front: S3Front, bucket: object
) -> None:
    upload(bucket, sourced.folder)
    sourced.use("s3://sparkify")
    s3_front.error = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    sourced.load("ping")
    listed = next(n for n, request in enumerate(s3_front.requests, 1) if "start-after" in request)  # COPY's have none
    s3_front.fails_at = listed
    with pytest.raises(PipelineError, match=r"access denied; .*; see \[S3\] LOG_DATA in "):
        sourced.load("ping")


def test_ping_names_a_warehouse_that_cant_be_reached(sourced: Warehouse) -> None:
    sourced.use("s3://b")
    sourced.configure({("CLUSTER", "HOST"): "127.0.0.1", ("CLUSTER", "DB_PORT"): "1", ("S3", "REGION"): "us-west-2"})
    sourced.configure({("S3", "LOG_JSONPATH"): "s3://b/p"})
    with pytest.raises(PipelineError, match="can't connect to"):
        sourced.load("ping")


def test_ping_names_what_is_missing(warehouse: Warehouse) -> None:
    assert "missing tables: staging_events" in warehouse.run("etl.py", "--ping", code=1).stderr
    warehouse.create_tables()
    said = warehouse.run("etl.py", "--ping", code=1).stderr
    assert "LOG_DATA" in said and "SONG_DATA" in said and "no file's name begins with this prefix" in said


def test_ping_asks_s3_and_reads_no_data(tables: Warehouse, bucket: object, aws: dict[str, str]) -> None:
    tables.environment |= aws
    boto3.client("s3").put_object(
        Bucket="sparkify", Key="paths.json", Body=(ROOT / "sample_data/log_json_path.json").read_bytes()
    )
    for key in ("logs/a.json", "songs/a.json"):
        boto3.client("s3").put_object(Bucket="sparkify", Key=key, Body=b"not read")
    names = {("S3", "LOG_DATA"): "s3://sparkify/logs", ("S3", "SONG_DATA"): "s3://sparkify/songs"}
    tables.configure(names | {("S3", "LOG_JSONPATH"): "s3://sparkify/paths.json"})
    assert tables.run("etl.py", "--ping").stdout.count("can be read") == 2
    # a record that was read would not have loaded
    assert tables.query("SELECT COUNT(*) FROM stl_load_errors") == [(0,)]
    tables.configure({("S3", "SONG_DATA"): "s3://no-such-bucket-of-ours/songs"})
    said = tables.run("etl.py", "--ping", code=1).stderr
    assert "staging_songs_copy" in said and "no-such-bucket-of-ours" in said


UNEXPECTED = """
import sys
from pipeline.script import parser_with_config, run_script

def work(settings, run, options):
    raise KeyError("what nobody thought of")

sys.exit(run_script(work, parser_with_config("").parse_args(), "load"))
"""


def test_report_tells_of_an_error_that_nobody_thought_of(tables: Warehouse) -> None:
    report = tables.folder / "report.json"
    command = [sys.executable, "-c", UNEXPECTED, "--config", str(tables.config), "--report", str(report)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 1 and ran.stderr.endswith("KeyError: 'what nobody thought of'\n")
    told = json.loads(report.read_text())
    assert (told["status"], told["exit_status"]) == ("failed", 1)
    assert told["error"] == "KeyError: 'what nobody thought of'; nothing was changed"
