"""Bad input: one clear message, exit status 1, nothing changed."""

import http.server
import os
import threading
from collections.abc import Iterator

import pytest
from helpers import Warehouse, at_terminal, event, song
from s3_front import QuietHandler

CLUSTER, ROLE, S3 = "CLUSTER", "IAM_ROLE", "S3"
REMOTE = {
    (CLUSTER, "HOST"): "localhost",
    (S3, "LOG_DATA"): "s3://b/log",
    (S3, "LOG_JSONPATH"): "s3://b/paths",
    (S3, "SONG_DATA"): "s3://b/song",
    (S3, "REGION"): "us-west-2",
}
EVIL = "x'; DROP TABLE songplays; --"

# fmt: off
CONFIGS = [  # what is changed in the config, what the message says
    ({(CLUSTER, "HOST"): None}, "[CLUSTER] HOST is missing"),
    ({(CLUSTER, "DB_NAME"): None}, "[CLUSTER] DB_NAME is missing"),
    ({(CLUSTER, "DB_USER"): ""}, "[CLUSTER] DB_USER is missing"),
    ({(ROLE, "ARN"): None}, "[IAM_ROLE] ARN is missing"),
    ({(S3, "LOG_DATA"): None}, "[S3] LOG_DATA is missing"),
    ({(S3, "SONG_DATA"): "''"}, "[S3] SONG_DATA is missing"),
    ({(S3, "LOG_JSONPATH"): None}, "[S3] LOG_JSONPATH is missing"),
    (REMOTE | {(CLUSTER, "HOST"): "no-such-host.invalid"}, "can't connect to"),
    ({(CLUSTER, "HOST"): "dwh.example.com"}, "[S3] LOG_DATA = log-data is a path on this machine"),
    (REMOTE | {(CLUSTER, "DB_PORT"): "54x9"}, "[CLUSTER] DB_PORT = 54x9 is not a port number"),
    (REMOTE | {(CLUSTER, "DB_PORT"): "99999"}, "[CLUSTER] DB_PORT = 99999 is not a port number"),
    ({(ROLE, "ARN"): "dwhRole"}, "[IAM_ROLE] ARN = dwhRole is not the ARN of a role"),
    ({(ROLE, "ARN"): "arn:aws:iam::123:role/x"}, "is not the ARN of a role"),
    ({(S3, "LOG_DATA"): "nothing-here"}, "nothing-here"),
    ({(S3, "SONG_DATA"): "nothing-here"}, "nothing-here"),
    ({(S3, "LOG_JSONPATH"): "nothing-here"}, "nothing-here was not found"),
    ({(S3, "LOG_DATA"): "ftp://x/y"}, "[S3] LOG_DATA = ftp://x/y must be s3://bucket/... or a path"),
    ({(S3, "LOG_DATA"): EVIL}, EVIL),
    ({(S3, "LOG_DATA"): r"50%s\no'such"}, r"50%s\no'such"),
    ({(CLUSTER, "DB_NAME"): 'a"b; DROP TABLE songplays'}, 'run create_tables.py first'),
]
# fmt: on


@pytest.fixture
def loaded(tables: Warehouse) -> Warehouse:
    """A warehouse with a play in it."""
    tables.write_log([event()])
    tables.write_songs([song()])
    tables.load()
    return tables


def fails(warehouse: Warehouse, script: str = "etl.py") -> str:
    """The message of a run that fails, checked to be one."""
    result = warehouse.run(script, code=1)
    assert result.stderr.startswith(f"{script}: ") and result.stderr.count(f"{script}: ") == 1
    return result.stderr


@pytest.mark.parametrize(("changes", "message"), CONFIGS, ids=[row[1][:40] for row in CONFIGS])
def test_config(loaded: Warehouse, changes: dict, message: str) -> None:
    before = loaded.everything()
    good = dict(loaded.values)
    loaded.configure(changes)
    assert message in loaded.refusal()
    loaded.values = good
    loaded.configure({})
    assert loaded.everything() == before


def test_port_that_nobody_listens_at(loaded: Warehouse) -> None:
    # create_tables.py does not try again, which would take 14 s
    loaded.configure(REMOTE | {(CLUSTER, "DB_PORT"): "1"})
    assert "can't connect to" in fails(loaded, "create_tables.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HOST = local\n", "there is no [SECTION] above this line"),
        ("[CLUSTER]\nHOST = a\nHOST = b\n", "HOST is given twice"),
        ("[CLUSTER\n", "dwh.cfg"),
        ("\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_config_file_that_is_none(warehouse: Warehouse, text: str, message: str) -> None:
    warehouse.config.write_bytes(text.encode("latin-1"))
    assert message in warehouse.refusal()


def test_tables_not_created_yet(warehouse: Warehouse) -> None:
    warehouse.write_log([event()])
    warehouse.write_songs([song()])
    assert "run create_tables.py first" in fails(warehouse)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"itemInSession": 1}, "column page varchar(64): Missing data for not-null field"),
        (
            {"page": "NextSong", "itemInSession": 1, "sessionId": 1},
            "column ts timestamp: Missing data for not-null field",
        ),
        # https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html: without a part of its key
        (event(sessionId=None), "column session_id int4: Missing data for not-null field"),
        (event(itemInSession=None), "column item_in_session int4: Missing data for not-null field"),
        ([1, 2], "Member is not an object"),
        (event(ts="yesterday"), "column ts timestamp: Invalid timestamp format or value [epochmillisecs]"),
        (event(userId="me"), "column user_id int4: Invalid digit, Value 'm', Pos 0, Type: Integer"),
        (event(song="x" * 2000), "column song varchar(1024): String length exceeds DDL length"),
    ],
)
def test_events_of_another_shape(loaded: Warehouse, line: object, message: str) -> None:
    before = loaded.everything()
    path = loaded.write_log([event(), line], "2018-11-02")
    assert f"{path}, line 2" in (said := loaded.refusal()) and message in said
    assert loaded.everything() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not one JSON object"),
        ('{"jsonpaths": ["$.a"]}', "columns should match"),
        ('{"jsonpaths": [1]}', "is not a JSONPath expression"),
    ],
)
def test_jsonpaths_file(loaded: Warehouse, content: str, message: str) -> None:
    (loaded.folder / "paths.json").write_text(content)
    loaded.configure({(S3, "LOG_JSONPATH"): "paths.json"})
    assert message in loaded.refusal()


def test_load_errors_csv_that_cant_be_written_does_not_hide_the_error(loaded: Warehouse) -> None:
    (loaded.folder / "load_errors.csv").mkdir()
    loaded.write_log([event(userId="me")])
    message = fails(loaded)
    assert "Invalid digit, Value 'm'" in message and "load_errors.csv could not be written" in message
    assert [path.name for path in loaded.folder.iterdir() if path.name.startswith("load_errors")] == ["load_errors.csv"]


# S3


def test_bucket_missing(loaded: Warehouse, aws: dict[str, str]) -> None:
    loaded.environment = aws
    loaded.configure({(S3, "LOG_DATA"): "s3://no-such-bucket/log"})
    message = fails(loaded)
    assert "S3ServiceException:The specified bucket does not exist,Status 404,Error NoSuchBucket" in message
    assert "context:   Listing bucket=no-such-bucket prefix=log" in message


def test_no_aws_credentials(loaded: Warehouse) -> None:
    loaded.configure({(S3, "LOG_DATA"): "s3://bucket/log"})
    assert "Unable to locate credentials" in fails(loaded)


class Answers(QuietHandler):
    """An S3 server that gives the same answer to everything."""

    answer: tuple[int, str, str] = (200, "", "")

    def do_GET(self) -> None:
        status, code, message = self.answer
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.reply(status, body)

    do_HEAD = do_GET


@pytest.fixture
def s3_that_refuses(aws: dict[str, str]) -> Iterator[dict[str, str]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever).start()
    yield aws | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((403, "AccessDenied", "Access Denied"), "S3ServiceException:Access Denied,Status 403,Error AccessDenied,"),
        (
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
            "does not exist in our records.,Status 403,Error InvalidAccessKeyId,",
        ),
        (
            (301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint."),
            "The S3 bucket addressed by the query is in a different region from this cluster.,Status 301,",
        ),
    ],
)
def test_s3_refuses(
    loaded: Warehouse, s3_that_refuses: dict[str, str], answer: tuple[int, str, str], message: str
) -> None:
    Answers.answer = answer
    before = loaded.everything()
    loaded.environment = s3_that_refuses
    loaded.configure({(S3, "LOG_DATA"): "s3://bucket/log"})
    assert message in fails(loaded)
    loaded.configure({(S3, "LOG_DATA"): "log-data", (S3, "SONG_DATA"): "s3://bucket/song"})
    assert message in fails(loaded)
    assert loaded.everything() == before


# create_tables.py at a terminal


@pytest.mark.parametrize("answer", ["n\n", "\n", "what\n", "yikes\n", "\x04"])
def test_create_tables_keeps_the_rows_unless_told_yes(loaded: Warehouse, answer: str) -> None:
    status, screen = at_terminal(loaded, answer)
    assert status == 1 and "songplays: 1 row\r\n" in screen and "not confirmed; nothing was changed" in screen
    assert "dropped" not in screen
    assert loaded.counts()["songplays"] == 1


@pytest.mark.parametrize(("answer", "arguments"), [("y\n", []), (" Yes \n", []), ("", ["--yes"])])
def test_create_tables_drops_when_told_yes(loaded: Warehouse, answer: str, arguments: list[str]) -> None:
    assert at_terminal(loaded, answer, *arguments)[0] == 0
    assert loaded.counts()["songplays"] == 0


def test_create_tables_does_not_ask_about_empty_tables(tables: Warehouse) -> None:
    status, screen = at_terminal(tables, "")
    assert status == 0 and "[y/N]" not in screen


@pytest.mark.parametrize("answer", [None, "n\n", "y\n"])
def test_create_tables_needs_to_be_told_yes_where_there_is_no_terminal(loaded: Warehouse, answer: str | None) -> None:
    before = loaded.everything()
    result = loaded.run("create_tables.py", code=1, answer=answer)
    assert "nothing was changed" in result.stderr and "--yes" in result.stderr
    assert loaded.everything() == before
    loaded.run("create_tables.py", "--yes")
    assert loaded.counts()["songplays"] == 0


def test_folder_that_cant_be_written_to(loaded: Warehouse) -> None:
    if os.getuid() == 0:
        pytest.skip("root writes everywhere")
    loaded.write_log([event(userId="me")])
    loaded.folder.chmod(0o500)
    try:
        message = fails(loaded)
    finally:
        loaded.folder.chmod(0o700)
    assert "Invalid digit, Value 'm'" in message and "could not be written" in message
