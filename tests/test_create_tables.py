"""create_tables.py: what it drops, what it says, what it leaves."""

from helpers import ROOT, TABLES, Warehouse, event, song


def test_creates_the_seven_tables_empty(tables: Warehouse) -> None:
    assert tables.counts() == dict.fromkeys(TABLES, 0)


def test_says_which_tables_with_rows_it_drops(tables: Warehouse) -> None:
    tables.write_log([event(), event(itemInSession=1)])
    tables.write_songs([song()])
    tables.etl()
    output = tables.run("create_tables.py").stdout
    assert "dropping songplays with its 2 rows" in output
    assert "dropping users with its 1 rows" in output
    assert tables.counts() == dict.fromkeys(TABLES, 0)


def test_says_nothing_of_rows_where_there_are_none(tables: Warehouse) -> None:
    assert "dropping" not in tables.run("create_tables.py").stdout


def test_failure_leaves_the_old_tables_with_their_rows(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    before = tables.everything()
    # a view on a table keeps it from being dropped
    tables.query("CREATE VIEW loud AS SELECT * FROM songplays")
    result = tables.run("create_tables.py", code=1)
    assert "loud" in result.stderr
    assert tables.everything() == before
