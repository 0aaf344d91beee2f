"""Zone maps of sort keys, and what ANALYZE passes over.

https://docs.aws.amazon.com/redshift/latest/dg/t_Sorting_data.html, r_ANALYZE.html, r_ALTER_TABLE.html
"""

import psycopg2
import pytest
from helpers import plain_cursor

SORTED_BY = """
SELECT attname
FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_am ON pg_am.oid = relam
JOIN pg_attribute ON attrelid = indexrelid
WHERE amname = 'brin' AND indrelid IN (SELECT oid FROM pg_catalog.pg_class WHERE relname = %s)
ORDER BY attnum
"""


def rows(connection: psycopg2.extensions.connection, sql: str, values: list | None = None) -> list[tuple]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def sorted_by(connection: psycopg2.extensions.connection, table: str) -> list[str]:
    with plain_cursor(connection) as cursor:
        cursor.execute(SORTED_BY, [table])
        return [name for (name,) in cursor]


def plan(connection: psycopg2.extensions.connection, query: str) -> str:
    return "\n".join(line for (line,) in rows(connection, f"EXPLAIN {query}"))


@pytest.mark.parametrize(
    ("definition", "columns"),
    [
        ("(a INT, b DATE) SORTKEY (b)", ["b"]),
        ("(a INT, b DATE) DISTSTYLE EVEN COMPOUND SORTKEY (b, a)", ["b", "a"]),
        ("(a INT, b VARCHAR(9)) INTERLEAVED SORTKEY (a, b)", ["a", "b"]),
        ("(a INT SORTKEY, b DATE)", ["a"]),
        ('(a INT, "b c" DATE ENCODE raw SORTKEY)', ["b c"]),
        ("(a BOOLEAN, b SMALLINT) SORTKEY (a, b)", ["b"]),  # of BOOLEAN there are two values: nothing to pass over
        ("(a BOOLEAN) SORTKEY (a)", []),
        # values this long do not fit into the index
        ("(a VARCHAR(500), b VARCHAR(501), c VARBYTE, d CHAR(4)) SORTKEY (a, b, c, d)", ["a", "d"]),
        ("(a INT) SORTKEY AUTO", []),
        ("(a INT)", []),
        ("DISTSTYLE ALL SORTKEY (a) AS SELECT 1 AS a, 2 AS sortkey", ["a"]),
        ("SORTKEY AUTO AS SELECT 1 AS a", []),
        ("AS SELECT 1 AS a, 2 AS sortkey", []),
    ],
)
def test_sort_key_becomes_a_zone_map(
    database: psycopg2.extensions.connection, definition: str, columns: list[str]
) -> None:
    database.cursor().execute(f"CREATE TABLE t {definition}")
    assert sorted_by(database, "t") == columns


def test_sort_key_is_altered(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT SORTKEY, b INT); ALTER TABLE t ALTER COMPOUND SORTKEY (b, a)")
    assert sorted_by(database, "t") == ["b", "a"]
    cursor.execute("ALTER TABLE public.t ALTER SORTKEY (b)")
    assert sorted_by(database, "t") == ["b"]
    cursor.execute("ALTER TABLE t ALTER SORTKEY NONE")
    assert sorted_by(database, "t") == []


def test_table_that_is_there_keeps_its_sort_key(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT SORTKEY, b INT); CREATE TABLE IF NOT EXISTS t (a INT, b INT SORTKEY)")
    assert sorted_by(database, "t") == ["a"]
    cursor.execute("CREATE TABLE u (a INT); CREATE TABLE IF NOT EXISTS u (a INT SORTKEY)")
    assert sorted_by(database, "u") == []
    cursor.execute("CREATE TABLE IF NOT EXISTS v (a INT SORTKEY)")
    assert sorted_by(database, "v") == ["a"]


@pytest.mark.parametrize("prefix", ["public.", '"', "TEMP "])
def test_any_way_to_name_a_table_gives_it_its_zone_map(database: psycopg2.extensions.connection, prefix: str) -> None:
    written = {"public.": "TABLE public.t", '"': 'TABLE "t"', "TEMP ": "TEMP TABLE t"}[prefix]
    database.cursor().execute(f"CREATE {written} (a INT SORTKEY)")
    assert sorted_by(database, "t") == ["a"]


def test_query_of_a_part_of_the_sort_key_passes_over_the_rest(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT SORTKEY, b VARCHAR(200))")
    with plain_cursor(database) as plain:
        plain.execute("INSERT INTO t SELECT n, repeat('x', 200) FROM generate_series(1, 50000) AS n")
    cursor.execute("ANALYZE t")
    query = "SELECT COUNT(*) FROM t WHERE a BETWEEN 20000 AND 20100"
    assert "Bitmap Index Scan on t_a_idx" in plan(database, query)
    cursor.execute(query)
    assert cursor.fetchall() == [(101,)]
    with plain_cursor(database) as plain:
        plain.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {query}")
        assert "lossy=128" in str(plain.fetchall())  # one range


def analyzed(connection: psycopg2.extensions.connection) -> float:
    """How many rows the statistics of t say it has."""
    return rows(connection, "SELECT reltuples FROM pg_class WHERE relname = 't'")[0][0]


@pytest.mark.parametrize(
    ("setting", "change", "rows_known"),
    [
        ("", "INSERT INTO t SELECT a FROM t WHERE a < 9", 100),  # 9 % of the rows
        ("", "INSERT INTO t SELECT a FROM t WHERE a < 10", 110),
        ("", "DELETE FROM t WHERE a < 10", 90),
        ("SET analyze_threshold_percent TO 20;", "INSERT INTO t SELECT a FROM t WHERE a < 19", 100),
        ("SET analyze_threshold_percent TO 20;", "INSERT INTO t SELECT a FROM t WHERE a < 20", 120),
        ("SET analyze_threshold_percent TO 0;", "INSERT INTO t SELECT a FROM t WHERE a < 1", 101),
        ("SET analyze_threshold_percent TO 0.01;", "INSERT INTO t SELECT a FROM t WHERE a < 1", 101),
    ],
)
def test_analyze_passes_over_a_table_of_which_little_has_changed(
    database: psycopg2.extensions.connection, setting: str, change: str, rows_known: int
) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT)")
    with plain_cursor(database) as plain:
        plain.execute("INSERT INTO t SELECT n FROM generate_series(0, 99) AS n")
    cursor.execute("ANALYZE t")
    assert analyzed(database) == 100
    cursor.execute(f"{setting} {change}; ANALYZE VERBOSE t (a)")
    assert analyzed(database) == rows_known


def test_changes_of_several_transactions_add_up(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT); INSERT INTO t SELECT 1 UNION ALL SELECT 2")
    for _ in range(4):
        cursor.execute("INSERT INTO t SELECT a FROM t")
    cursor.execute("ANALYZE t")
    database.commit()
    for known in (32, 32, 32, 36):
        cursor.execute("INSERT INTO t (a) SELECT 3; ANALYZE t")
        database.commit()
        assert analyzed(database) == known


def test_analyze_is_done_where_the_counts_began_anew(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT); INSERT INTO t SELECT 1 UNION ALL SELECT 2; ANALYZE t")
    database.commit()
    with plain_cursor(database) as plain:  # as after a crash of the server: fewer changes than were noted
        plain.execute("UPDATE local_redshift.analyzed SET changes = 1000000 WHERE tbl = 't'::regclass")
        plain.execute("INSERT INTO t SELECT n FROM generate_series(1, 8) AS n")
    cursor.execute("ANALYZE t")
    assert analyzed(database) == 10


def test_analyze_of_everything_is_always_done(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT)")
    with plain_cursor(database) as plain:
        plain.execute("INSERT INTO t SELECT n FROM generate_series(1, 100) AS n")
    cursor.execute("ANALYZE t; INSERT INTO t SELECT 0; ANALYZE t")
    assert analyzed(database) == 100
    cursor.execute("ANALYZE")
    assert analyzed(database) == 101


def test_analyze_that_is_passed_over_leaves_nothing_of_an_earlier_statement(
    database: psycopg2.extensions.connection,
) -> None:
    cursor = database.cursor()
    cursor.execute("CREATE TABLE t (a INT); INSERT INTO t SELECT 1; ANALYZE t; SELECT 1; ANALYZE t")
    assert cursor.description is None and cursor.rowcount == -1


def test_threshold_is_shown_and_reset(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute("SET analyze_threshold_percent TO 15; SHOW analyze_threshold_percent")
    assert cursor.fetchall() == [("15",)]
    cursor.execute("RESET analyze_threshold_percent; SHOW analyze_threshold_percent")
    assert cursor.fetchall() == [("10",)]  # its default


def test_analyze_of_a_table_that_is_not_there(database: psycopg2.extensions.connection) -> None:
    with pytest.raises(psycopg2.errors.UndefinedTable, match='relation "nowhere" does not exist'):
        database.cursor().execute("ANALYZE nowhere")
