"""create_tables.py: what it drops, what it says, what it leaves."""

import contextlib
import io
import os
import pty
import subprocess
import sys
from functools import partial

import psycopg2
import pytest
from helpers import ROOT, TABLES, Warehouse, at_terminal, event, run_as_admin, song, unstamped
from test_concurrency import start

import common
import create_tables
from pipeline import tables as pipeline_tables
from pipeline.errors import PipelineError
from pipeline.session import Session
from pipeline.settings import read_settings

pytestmark = pytest.mark.also_on_cluster


def test_creates_the_seven_tables_empty(tables: Warehouse) -> None:
    assert tables.counts() == dict.fromkeys(TABLES, 0)


def test_missing_and_empty_tables_need_no_confirmation(warehouse: Warehouse) -> None:
    warehouse.run("create_tables.py")
    assert set(warehouse.counts().values()) == {0}
    warehouse.run("create_tables.py")


def test_says_which_tables_with_rows_it_drops(tables: Warehouse) -> None:
    tables.write_log([event(), event(itemInSession=1)])
    tables.write_songs([song()])
    tables.load()
    output = tables.run("create_tables.py", "--yes").stdout
    assert "dropped songplays with its 2 rows\n" in output
    assert "dropped users with its 1 row\n" in output
    assert tables.counts() == dict.fromkeys(TABLES, 0)


def test_says_nothing_of_rows_where_there_are_none(tables: Warehouse) -> None:
    assert "dropped" not in tables.run("create_tables.py").stdout


def test_failure_leaves_the_old_tables_with_their_rows(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.load()
    before = tables.everything()
    # a view on a table keeps it from being dropped
    tables.query("CREATE VIEW loud AS SELECT * FROM songplays")
    result = tables.run("create_tables.py", "--yes", code=1)
    assert "loud" in result.stderr and "dropped songplays" not in result.stdout
    assert tables.everything() == before


@pytest.fixture
def filled(tables: Warehouse) -> Warehouse:
    """Tables with a play in them."""
    tables.write_log([event()])
    tables.write_songs([song()])
    tables.load()
    return tables


@pytest.mark.stand_in_only
def test_question_names_place_and_tables_with_their_rows(filled: Warehouse) -> None:
    filled.query("INSERT INTO users SELECT * FROM users")
    _, screen = at_terminal(filled, "n\n")
    name, data_dir = filled.values["CLUSTER", "DB_NAME"], filled.values["CLUSTER", "DATA_DIR"]
    assert f"These tables in {name}.public on local ({data_dir}) hold rows:" in screen
    assert "  songplays: 1 row\r\n" in screen and "  users: 2 rows\r\n" in screen


@pytest.mark.stand_in_only
def test_question_and_ping_name_the_schema_that_the_search_path_chooses(filled: Warehouse) -> None:
    name = filled.values["CLUSTER", "DB_NAME"]
    filled.query("CREATE SCHEMA other")
    run_as_admin(filled.data_dir, f"ALTER DATABASE {name} SET search_path TO other, public")
    assert f"These tables in {name}.other on local" in filled.run("create_tables.py", code=1).stdout
    assert f"{name}.other on local" in filled.output("ping")


def test_rows_are_counted_though_a_reader_is_at_the_tables(filled: Warehouse) -> None:
    reader = filled.connect()
    reader.cursor().execute("SELECT COUNT(*) FROM songplays")
    assert "  songplays: 1 row\n" in filled.run("create_tables.py", code=1).stdout
    reader.close()


def test_nobody_waits_while_the_question_is_open(filled: Warehouse) -> None:
    def look() -> None:
        filled.queries(
            "SET statement_timeout TO 30000", "SELECT COUNT(*) FROM songplays", "UPDATE users SET level = 'x'"
        )

    status, _ = at_terminal(filled, "n\n", before_answer=look)
    assert status == 1
    assert filled.query("SELECT level FROM users") == [("x",)]


def test_rows_that_came_in_while_the_question_was_open_are_asked_about(filled: Warehouse) -> None:
    def add() -> None:
        # nobody has to wait for the second question either
        filled.queries("SET statement_timeout TO 30000", "UPDATE users SET level = 'x'")
        if filled.counts()["users"] == 1:
            filled.query("INSERT INTO users (user_id, last_event_time) VALUES (9, '2018-11-01')")

    status, screen = at_terminal(filled, "y\n", before_answer=add)
    assert screen.count("[y/N]") == 2 and "  users: 2 rows\r\n" in screen
    assert status == 0 and "dropped users with its 2 rows" in screen
    assert filled.counts()["users"] == 0


def test_tables_whose_drop_is_not_committed_are_not_reported_as_dropped(
    filled: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    class Refusing(psycopg2.extensions.connection):
        def commit(self) -> None:
            raise psycopg2.OperationalError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(psycopg2, "connect", partial(psycopg2.connect, connection_factory=Refusing))
        with filled.session() as session, pytest.raises(PipelineError, match="COMMIT failed"):
            create_tables.create_tables(session, yes=True)
    assert "dropped" not in capsys.readouterr().out
    assert filled.counts()["users"] == 1


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_question_that_nobody_would_see_or_answer_is_not_asked(filled: Warehouse, stream: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / "create_tables.py"), "--config", str(filled.config)]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": subprocess.PIPE} | {stream: subprocess.PIPE}
    ran = subprocess.Popen(command, **streams, text=True)
    _, errors = ran.communicate("y\n" if stream == "stdin" else None, timeout=120)
    os.close(theirs)
    os.close(ours)
    assert ran.returncode == 1 and "some of the tables hold rows; confirm at a terminal, or pass --yes" in errors
    assert filled.counts()["users"] == 1


@pytest.mark.stand_in_only
def test_rows_that_came_in_while_the_lock_was_waited_for_are_named(tables: Warehouse) -> None:
    writer = tables.connect()
    writer.cursor().execute("INSERT INTO users (user_id, last_event_time) VALUES (9, '2018-11-01')")
    waiting = start(tables, "create_tables.py", "--yes")
    assert any("waiting for" in line for line in waiting.stdout)
    writer.commit()
    writer.close()
    output, errors = waiting.communicate(timeout=120)
    assert waiting.returncode == 0 and "dropped users with its 1 row\n" in unstamped(output), errors


def test_row_that_is_committed_between_the_count_and_the_lock_is_not_dropped(tables: Warehouse) -> None:
    writer = tables.connect()
    writer.cursor().execute("INSERT INTO users (user_id, last_event_time) VALUES (9, '2018-11-01')")
    asked = []

    class Watched(Session):
        """Commits the row of the other session just before this one asks for its lock."""

        def execute(self, query: str, parameters: dict | None = None) -> psycopg2.extensions.cursor:
            if "LOCK" in query and not asked:
                asked.append(query)
                writer.commit()
            return super().execute(query, parameters)

    settings = read_settings(tables.config)
    with Watched(common.connect(settings), settings) as session, pytest.raises(PipelineError, match="--yes"):
        create_tables.create_tables(session)
    writer.close()
    assert asked and tables.counts()["users"] == 1


@pytest.mark.stand_in_only
def test_tables_are_locked_while_they_are_counted_for_the_last_time(filled: Warehouse) -> None:
    with filled.session() as session:
        assert pipeline_tables.count_rows(session, lock=True)["users"] == 1
        late = filled.connect()
        with late.cursor() as cursor:
            cursor.execute("SET statement_timeout TO 50")
            with pytest.raises(psycopg2.errors.QueryCanceled):
                cursor.execute("INSERT INTO users (user_id, last_event_time) VALUES (9, '2018-11-01')")
        late.close()


@pytest.mark.stand_in_only
def test_table_of_the_users_own_is_counted_and_named_like_the_others(
    filled: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.query("CREATE TABLE Promotions AS SELECT 1 AS promotion_id")
    queries = [*pipeline_tables.drop_table_queries, "DROP TABLE IF EXISTS Promotions CASCADE;"]
    monkeypatch.setattr(pipeline_tables, "drop_table_queries", queries)
    monkeypatch.setattr(create_tables, "drop_table_queries", queries)
    with filled.session() as session, pytest.raises(PipelineError), contextlib.redirect_stdout(io.StringIO()) as said:
        create_tables.create_tables(session)
    assert "  Promotions: 1 row\n" in said.getvalue()
    with filled.session() as session, contextlib.redirect_stdout(io.StringIO()) as said:
        create_tables.create_tables(session, yes=True)
    assert "dropped Promotions with its 1 row\n" in said.getvalue()


@pytest.mark.stand_in_only
def test_table_that_is_dropped_by_schema_and_name_is_counted_in_that_schema(
    filled: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.query("CREATE SCHEMA marketing")
    filled.query("CREATE TABLE marketing.promotions AS SELECT 1 AS promotion_id")
    filled.query("CREATE VIEW marketing.offers AS SELECT 1 AS offer_id")
    names = ("Marketing.promotions", "marketing.users", "marketing.offers")
    queries = [f"DROP TABLE IF EXISTS {name}" for name in names]
    monkeypatch.setattr(pipeline_tables, "drop_table_queries", queries)
    with filled.session() as session:
        assert pipeline_tables.count_rows(session) == {"Marketing.promotions": 1}


@pytest.mark.parametrize("query", ["DROP TABLE a; DROP TABLE b", "DROP VIEW a", "DROP TABLE $$a$$"])
def test_drop_that_is_not_understood_is_refused(tables: Warehouse, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(pipeline_tables, "drop_table_queries", [query])
    with tables.session() as session, pytest.raises(PipelineError, match="not a plain DROP TABLE"):
        create_tables.create_tables(session, yes=True)


@pytest.mark.stand_in_only
def test_tables_that_a_schema_further_down_the_search_path_has_are_found(filled: Warehouse) -> None:
    # where the config names no schema DROP TABLE takes the first of that name, and so must the count
    filled.query("CREATE SCHEMA dwhuser")
    assert filled.run("create_tables.py", code=1).stdout.count("songplays: 1 row") == 1
