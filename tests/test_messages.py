"""Every failure says which statement it was, where, and what to do next."""

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import boto3
import psycopg2
import pytest
from helpers import ROOT, Warehouse, event, raised, song, unstamped, upload
from test_bad_input import fails
from test_settings import config

import common
import sql_queries
from common import save_load_errors
from pipeline.errors import PipelineError
from pipeline.failures import statement_failed
from pipeline.session import Session
from storage.endpoints import without_password


@pytest.fixture
def sourced(tables: Warehouse) -> Warehouse:
    """Tables that are empty, with a source to load."""
    tables.write_log([event()])
    tables.write_songs([song()])
    return tables


@pytest.mark.parametrize(
    ("break_it", "arguments", "expected"),
    [
        ("DROP TABLE time", [], "time_table_insert (sql_queries.py) failed"),
        ("ALTER TABLE users DROP COLUMN level", [], "new_users_create (sql_queries.py) failed"),
        ("DROP TABLE staging_songs", ["--check"], "staging_songs_copy (sql_queries.py) failed"),
        (
            "ALTER TABLE staging_songs DROP COLUMN year",
            [],
            "staged_counts_create (sql_queries.py) failed",
        ),
    ],
)
def test_missing_table_or_column_names_the_statement_and_create_tables(
    sourced: Warehouse, break_it: str, arguments: list[str], expected: str
) -> None:
    sourced.query(break_it)
    message = sourced.run("etl.py", *arguments, code=1).stderr
    assert message.startswith(f"etl.py: {expected}: ") and "run create_tables.py" in message


@pytest.mark.parametrize("key", ["LOG_DATA", "SONG_DATA", "LOG_JSONPATH"])
@pytest.mark.parametrize("where", ["nothing-here", "s3://sparkify/nothing-here", "log-data/nothing-here"])
def test_source_that_is_not_there_names_the_key(
    sourced: Warehouse, aws: dict[str, str], bucket: object, key: str, where: str
) -> None:
    sourced.environment = aws
    sourced.configure({("S3", key): where})
    message = sourced.refusal()
    assert f"see [S3] {key} in {sourced.config}\n" in message and "nothing-here" in message
    if key != "LOG_JSONPATH":
        assert ("-----" in message) == where.startswith("s3://")


def test_failed_copy_says_how_many_rows_are_its_own_and_how_to_see_the_rest(sourced: Warehouse) -> None:
    path = sourced.folder / "load_errors.csv"
    sourced.write_log([event(userId="me")])
    message = fails(sourced)
    assert f"{path} has 1 load error; from this run: 1\n" in message
    assert f"python etl.py --check --config {sourced.config} shows every record that would not load\n" in message
    sourced.write_log([event(userId="me"), event(userId="you")])
    assert f"{path} has the latest 2 load errors; from this run: 1\n" in fails(sourced)
    assert "2 records would not load\n" in sourced.run("etl.py", "--check", code=1).stderr


@pytest.mark.parametrize(("mask", "mode"), [("022", 0o644), ("077", 0o600)])
def test_load_errors_csv_is_for_whom_the_umask_says(sourced: Warehouse, mask: str, mode: int) -> None:
    sourced.write_log([event(userId="me")])
    command = f'umask {mask}; exec "$0" "$1" --config "$2"'
    ran = subprocess.run(["sh", "-c", command, sys.executable, str(ROOT / "etl.py"), str(sourced.config)], check=False)
    assert ran.returncode == 1
    assert stat.S_IMODE((sourced.folder / "load_errors.csv").stat().st_mode) == mode


def test_load_errors_csv_is_put_in_the_place_of_the_old_one_whole(sourced: Warehouse) -> None:
    path = sourced.folder / "load_errors.csv"
    path.write_text("old")
    os.link(path, sourced.folder / "being_read.csv")
    sourced.write_log([event(userId="me")])
    fails(sourced)
    assert path.read_text() != "old" and (sourced.folder / "being_read.csv").read_text() == "old"
    assert sorted(one.name for one in sourced.folder.iterdir() if one.name.startswith("load_")) == ["load_errors.csv"]


def test_catalogue_that_matches_nothing_is_explained(sourced: Warehouse) -> None:
    sourced.write_songs([song(title="Other")])
    output = sourced.etl().stdout
    assert (
        "; 0 of 1 play (0.0%) matched to the catalogue: it has no song with the title and artist of any play; "
        in output
    )


def test_catalogue_that_matches_something_is_not(sourced: Warehouse) -> None:
    assert "; 1 of 1 play (100.0%) matched to the catalogue; " in sourced.etl().stdout


@pytest.mark.parametrize("script", ["create_tables.py", "etl.py"])
def test_shell_without_the_virtual_environment_is_told_to_activate_it(script: str) -> None:
    ran = subprocess.run([sys.executable, "-S", str(ROOT / script)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and ran.stdout == ""
    assert ran.stderr.startswith(f"{script}: the package psycopg2 is not installed")
    assert ". .venv/bin/activate" in ran.stderr and ran.stderr.count("\n") == 1


WITHOUT = """
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "{package}" else super().find_spec(name, path, target)


sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.mark.parametrize("package", ["psycopg2", "boto3", "certifi", "rich", "obstore"])
def test_package_that_an_older_virtual_environment_lacks_is_named(tmp_path: Path, package: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(package=package))
    command = [sys.executable, str(ROOT / "etl.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and ran.stderr.startswith(f"etl.py: the package {package} is not installed")
    assert ran.stderr.count("\n") == 1


def test_psql_without_the_virtual_environment_says_so_too() -> None:
    command = [sys.executable, "-S", "-m", "local_redshift"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 1 and ". .venv/bin/activate" in ran.stderr and ran.stderr.count("\n") == 1


def test_a_single_test_runs_by_itself_also_in_the_debugger() -> None:
    one = "tests/test_readme.py::test_there_are_five_questions"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pdb", one]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "workers" not in ran.stdout


@pytest.mark.parametrize(
    ("code", "said", "detail", "expected"),
    [
        ("22P02", 'invalid input syntax for type integer: "Kevin"', "", "type integer: (a value)"),
        ("22003", 'value "Kevin" is out of range for type integer', "", "value (a value) is out of range for type"),
        ("22023", 'time zone "Kevin" not recognized', "", "time zone (a value) not recognized"),
        ("22008", "Error converting text to date: Kevin", "", "Error converting text to date: (a value)"),
        ("23502", 'null value in column "level" violates', "Failing row contains (Kevin).", 'column "level" violates'),
        # https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
        ("XX000", "Invalid digit, Value 'Kevin', Pos 0, Type: Integer", "  code:      1207", "Value (a value), Pos 0"),
        ("2BP01", "cannot drop table songplays", "view loud depends on it", "view loud depends on it"),
    ],
)
def test_message_of_the_warehouse_loses_what_it_quotes_of_the_data(
    database: psycopg2.extensions.connection, tmp_path: Path, code: str, said: str, detail: str, expected: str
) -> None:
    error = raised(database, code, said, detail)
    settings = config(tmp_path, {})
    message = str(statement_failed(error, "INSERT INTO users SELECT 1", None, settings, "nothing was changed"))
    assert message.startswith("INSERT INTO users SELECT 1 failed: ") and expected in message and "Kevin" not in message


@pytest.mark.parametrize("key", ["LOG_DATA", "SONG_DATA"])
def test_bucket_that_is_not_there_names_the_keys(sourced: Warehouse, aws: dict[str, str], key: str) -> None:
    sourced.environment = aws
    sourced.configure({("S3", key): "s3://no-such-bucket/log"})
    message = sourced.refusal()
    # the stand-in reads S3 with the credentials of this machine, not by the role
    assert re.search(rf"see \[S3\] [\w ]*{key}[\w ]* and REGION in {sourced.config}; through AWS", message)


def test_connection_lost_after_a_failed_copy_does_not_hide_its_error(
    sourced: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    sourced.write_log([event(userId="me")])

    def lost_first(session: Session) -> str:
        session.connection.close()
        return save_load_errors(session)

    monkeypatch.setattr(common, "save_load_errors", lost_first)
    with pytest.raises(PipelineError) as raised:
        sourced.load()
    assert "Load into table 'staging_events' failed" in str(raised.value)
    assert "can't read the load errors from the system tables" in str(raised.value)


def test_check_where_no_view_can_be_read_is_one_message(sourced: Warehouse) -> None:
    sourced.write_log([event(userId="me")])
    sourced.query("DROP VIEW local_redshift.stl_load_errors; DROP VIEW local_redshift.sys_load_error_detail")
    message = sourced.run("etl.py", "--check", code=1).stderr
    assert message.startswith("etl.py: can't read the load errors from") and message.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_output_is_one_message(sourced: Warehouse) -> None:
    command = [sys.executable, str(ROOT / "etl.py"), "--config", str(sourced.config)]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 1
    assert unstamped(ran.stderr) == "etl.py: it failed ([Errno 28] No space left on device); nothing was changed\n"


@pytest.mark.parametrize("closed", ["0<&-", ">&-"])
def test_closed_standard_streams_are_no_traceback(sourced: Warehouse, closed: str) -> None:
    command = f'exec "$0" "$1" --config "$2" {closed}'
    for script, code in (("etl.py", 0), ("create_tables.py", 1)):
        arguments = ["sh", "-c", command, sys.executable, str(ROOT / script), str(sourced.config)]
        ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert ran.returncode == code and "Traceback" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("two", [("--check", "--verify"), ("--ping", "--all"), ("--all", "--check")])
def test_modes_that_exclude_each_other_are_wrong_usage(warehouse: Warehouse, two: tuple[str, str]) -> None:
    assert "not allowed with argument" in warehouse.run("etl.py", *two, code=2).stderr


def test_message_has_a_long_path_whole(sourced: Warehouse, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    shutil.move(sourced.write_log([event(userId="me")]), deep / "2018-11-01-events.json")
    sourced.configure({("S3", "LOG_DATA"): str(deep)})
    assert f"{deep}/2018-11-01-events.json, line 1, column user_id int4: Invalid digit" in fails(sourced)


@pytest.mark.parametrize(
    "text",
    [
        # github.com/3scale/apisonator issue 196
        "User arn:aws:redshift:us-west-2:1:dbuser:dwh/me is not authorized to assume IAM Role arn:aws:iam::1:role/r",
        # https://stackoverflow.com/questions/70659682
        "exception name : UnauthorizedException, error type : 135, message: Not authorized to get credentials of role "
        "arn:aws:iam::1:role/r, should retry : 0",
        "exception name : UnauthorizedException, error type : 138, message: The requested role arn:aws:iam::1:role/r "
        "is not associated to cluster, should retry : 0",
    ],
)
def test_each_wording_of_a_refused_role_leads_to_the_role(
    database: psycopg2.extensions.connection, tmp_path: Path, text: str
) -> None:
    error = raised(database, "XX000", text)
    settings = config(tmp_path, {})
    said = str(statement_failed(error, "COPY staging_events FROM 's3://b/l'", None, settings, "nothing changed"))
    assert f"see [IAM_ROLE] ARN in {settings.path}" in said
    assert "redshift.amazonaws.com" in said and "redshift-serverless.amazonaws.com" in said and "attach" in said


def test_password_of_an_endpoint_is_in_no_message(
    tables: Warehouse, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    tables.use("s3://sparkify")
    said = tables.failing_output()
    assert "127.0.0.1:1" in said and "hunter2" not in said


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "AWS_ACCESS_KEY_ID is not set, so the credentials come from the default profile of ~/.aws"),
        ({"AWS_PROFILE": "analyst"}, "profile analyst (AWS_PROFILE) of ~/.aws"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "through AWS_ENDPOINT_URL = http://127.0.0.1:9"),
    ],
)
def test_missing_aws_credentials_are_told_with_where_they_were_looked_for(
    sourced: Warehouse, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    sourced.configure({("S3", "LOG_DATA"): "s3://sparkify/log-data"})
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which knows the credentials of earlier tests
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if "AWS_PROFILE" in environment:
        (sourced.folder / "aws").write_text("[profile analyst]\nregion = us-west-2\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(sourced.folder / "aws"))
    message = sourced.refusal()
    assert "Unable to locate credentials" in message and expected in message
    assert "-----" not in message and "IAM_ROLE" not in message


def test_mistyped_prefix_in_s3_fails_a_ping(sourced: Warehouse, aws: dict[str, str], bucket: object) -> None:
    upload(bucket, sourced.folder)
    sourced.use("s3://sparkify")
    sourced.configure({("S3", "LOG_JSONPATH"): str(ROOT / "sample_data" / "log_json_path.json")})
    assert sourced.output("ping").count("can be read") == 2
    sourced.configure({("S3", "LOG_DATA"): "s3://sparkify/lgo-data"})
    with pytest.raises(
        PipelineError, match=r"\[S3\] LOG_DATA = s3://sparkify/lgo-data: no file's name begins with this prefix"
    ):
        sourced.output("ping")


def test_config_path_with_blanks_is_quoted_in_the_command(sourced: Warehouse) -> None:
    sourced.write_log([event(userId="me")])
    spaced = sourced.config.with_name("my dwh.cfg")
    sourced.config.rename(spaced)
    sourced.config = spaced
    assert f"python etl.py --check --config '{spaced}' shows every record" in sourced.refusal()


@pytest.mark.parametrize("script", ["create_tables.py", "etl.py", "local_redshift"])
def test_old_python_is_told_which_one_is_needed(tmp_path: Path, script: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 9, 18, 'final', 0)\n")
    command = ["-m", script] if script == "local_redshift" else [str(ROOT / script)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert ran.returncode == 1 and ran.stderr.startswith(f"{script}: this is Python ")
    assert ran.stderr.endswith("Python 3.10 or newer is needed\n") and ran.stderr.count("\n") == 1


def test_schema_is_folded_as_names_are(sourced: Warehouse) -> None:
    sourced.query("CREATE SCHEMA sales")
    sourced.configure({("CLUSTER", "SCHEMA"): "Sales"})
    sourced.create_tables()
    sourced.load()
    assert sourced.query("SELECT COUNT(*) FROM sales.songplays") == [(1,)]


@pytest.mark.parametrize("script", ["create_tables.py", "etl.py", "pipeline/startup.py", "local_redshift/__init__.py"])
def test_old_python_gets_as_far_as_the_message(script: str) -> None:
    ast.parse((ROOT / script).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_report_in_the_place_of_a_config_with_a_mistake_is_refused(sourced: Warehouse) -> None:
    sourced.config.write_text(before := sourced.config.read_text() + "MAXEROR = 1\n")
    message = sourced.run("etl.py", "--report", str(sourced.config), code=1).stderr
    assert "that is the config file; nothing was changed" in message
    assert sourced.config.read_text() == before


def test_report_replaces_only_a_report_or_an_empty_file(sourced: Warehouse) -> None:
    log = sourced.write_log([event(), event(itemInSession=1)])
    before = log.read_bytes()
    for mode in ([], ["--ping"]):
        message = sourced.run("etl.py", *mode, "--report", str(log), code=1).stderr
        assert f"--report {log} exists and is not a report: name another file; nothing was changed" in message
    assert log.read_bytes() == before and sourced.counts()["songplays"] == 0
    report = sourced.folder / "report.json"
    report.touch()
    for _ in range(2):
        sourced.run("etl.py", "--report", str(report))
        assert '"exit_status": 0' in report.read_text()
    report.write_text('{"started": "2018-11-01T00:00:00Z", "status": "running"}\n')
    sourced.run("etl.py", "--ping", "--report", str(report))


def test_report_in_the_place_of_the_config_is_refused(sourced: Warehouse) -> None:
    before = sourced.config.read_text()
    (sourced.folder / "link.json").symlink_to(sourced.config)
    for script in ("etl.py", "create_tables.py"):
        for report in (str(sourced.config), sourced.config.name, "link.json"):
            message = sourced.run(script, "--report", report, code=1).stderr
            assert "that is the config file; nothing was changed" in message
    assert sourced.config.read_text() == before


@pytest.mark.parametrize("temp_dir", [None, "temp"])
def test_link_that_leads_nowhere_is_named_and_not_tried_again(sourced: Warehouse, temp_dir: str | None) -> None:
    sourced.configure({("S3", "TEMP_DIR"): temp_dir})
    (sourced.folder / "log-data/gone.json").symlink_to("nowhere")
    message = fails(sourced)
    assert "gone.json" in message and "a broken symbolic link" in message and "trying again" not in message


def test_ping_takes_a_prefix_with_blanks(sourced: Warehouse) -> None:
    (sourced.folder / "log-data").rename(sourced.folder / "log data")
    sourced.configure({("S3", "LOG_DATA"): "log data/"})
    assert sourced.output("ping").count("can be read") == 2


def test_psql_looks_at_the_schema_of_the_config(sourced: Warehouse) -> None:
    sourced.load()
    sourced.query("CREATE SCHEMA sales")
    sourced.configure({("CLUSTER", "SCHEMA"): "sales"})
    sourced.create_tables()
    command = [sys.executable, "-m", "local_redshift", "--config", str(sourced.config), "-Atc"]
    ran = subprocess.run([*command, "SELECT COUNT(*) FROM songplays"], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "0\n", ran.stderr


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "DELETE FROM songs WHERE title LIKE 'zz%'",
            "DELETE FROM songs WHERE title LIKE 'zz%' (sql_queries.py): invalid placeholder",
        ),
        ("SELECT %(log_data)s", "%(name)s needs a value from the scripts (KeyError: 'log_data'); nothing was changed"),
    ],
)
def test_percent_sign_that_is_no_placeholder_is_one_message(
    sourced: Warehouse, monkeypatch: pytest.MonkeyPatch, statement: str, said: str
) -> None:
    monkeypatch.setattr(sql_queries, "insert_table_queries", [*sql_queries.insert_table_queries, statement])
    assert said in sourced.refusal()


def test_statement_that_is_plain_text_runs_like_the_others(sourced: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [str(query) for query in sql_queries.insert_table_queries]
    monkeypatch.setattr(sql_queries, "insert_table_queries", plain)
    sourced.is_verbose = True
    said = sourced.output()
    assert "INSERT INTO songs (song_id, title, artist_id, year, duration, artist_name): 1 row in" in said
    assert "songplays 1 new, " in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("can't list s3://bucket/logs/a@b.json", "can't list s3://bucket/logs/a@b.json"),
        ("through http://me:secret@minio:9000/a@b", "through http://minio:9000/a@b"),
        ("https://me@host and //you:pw@there", "https://host and //there"),
    ],
)
def test_user_and_password_of_an_endpoint_are_not_shown_and_all_else_is(text: str, shown: str) -> None:
    assert without_password(text) == shown
