"""What Redshift refuses is refused here, and what only a cluster takes is refused by its name.

The pages are of https://docs.aws.amazon.com/redshift/latest/dg/; "seen" is what a cluster printed, a "guess" is neither.
"""

import re

import psycopg2
import pytest
from psycopg2 import errors

from local_redshift.sql.translation import NOT_IN_REDSHIFT

TABLES = """
DROP TABLE IF EXISTS t, u, child CASCADE;
CREATE TABLE t (a INT, b VARCHAR(20), j SUPER, n INT NOT NULL); CREATE TABLE u (a INT PRIMARY KEY);
CREATE TABLE child (a INT REFERENCES u (a)); CREATE VIEW v AS SELECT a FROM t
"""


IN_ITS_WORDS = [  # page, statement, psycopg2's class, what a cluster says
    ("seen", "SELECT SUM(a) OVER (ORDER BY a) FROM t", errors.InternalError_,
     "Aggregate window functions with an ORDER BY clause require a frame clause"),
    ("r_WF_first_value", "SELECT FIRST_VALUE(a) OVER (PARTITION BY b ORDER BY a) FROM t", errors.InternalError_, "require a frame clause"),
    ("seen", "INSERT INTO t (a) VALUES (1)", errors.InternalError_, "Cannot insert a NULL value into column n"),
    ("seen", "DROP TABLE missing", errors.UndefinedTable, 'Table "missing" does not exist'),
    ("seen", "SELECT TO_TIMESTAMP(1541105830)", errors.UndefinedFunction, "function to_timestamp"),
    ("r_DROP_TABLE", "DROP TABLE u", errors.DependentObjectsStillExist, "cannot drop table u because other objects depend on it"),
    ("r_DROP_TABLE", "DROP TABLE u RESTRICT", errors.DependentObjectsStillExist, "cannot drop table u because other objects depend on it"),
    ("r_CREATE_TABLE_NEW", "CREATE TABLE x (a INT REFERENCES missing (a))", errors.UndefinedTable, 'relation "missing" does not exist'),
    ("r_CREATE_TABLE_NEW", "CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES u (z))", errors.UndefinedColumn, '"z"'),
    ("r_ALTER_TABLE", "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES missing (a)", errors.UndefinedTable, '"missing"'),
    *[("c_sql-functions-leader-node", f"SELECT {call} FROM t", errors.FeatureNotSupported,
       "Specified types or functions (one per INFO message) not supported on Redshift tables.")
      for call in ("NOW()", "CURRENT_TIMESTAMP", "AGE(SYSDATE)", "GENERATE_SERIES(1, 2)", "CURRENT_SCHEMA()", "PG_RELATION_SIZE('t')")],
    *[("r_pg_keywords", f"SELECT {word} FROM t", errors.SyntaxError, f'syntax error at or near "{word}"')
      for word in "tag language partition open percent raw delta system snapshot start backup offline".split()],
    *[("r_pg_keywords", f"CREATE TABLE x ({word} INT)", errors.SyntaxError, f'near "{word}"') for word in ("tag", "open", "group", "end")],
    *[("r_pg_keywords", f"CREATE TABLE {word} (a INT)", errors.SyntaxError, f'near "{word}"') for word in ("user", "order", "table")],
    ("r_correlated_subqueries", "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM child WHERE child.a = t.a))",
     errors.InternalError_, "This type of correlated subquery pattern is not supported yet"),
    ("guess", "CREATE TABLE x (a INT DISTKEY, b INT DISTKEY)", errors.SyntaxError, "DISTKEY"),
    ("guess", "CREATE TABLE x (a INT DISTKEY) DISTSTYLE ALL", errors.SyntaxError, "DISTKEY"),
    ("guess", "CREATE TABLE x (a INT SORTKEY, b INT SORTKEY)", errors.SyntaxError, "SORTKEY"),
    ("guess", "CREATE TABLE x (a INT PRIMARY KEY, b INT PRIMARY KEY)", errors.SyntaxError, "PRIMARY KEY"),
    ("r_names", f"SELECT 1 AS {'x' * 128}", errors.SyntaxError, "127 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "statement", "kind", "words"), IN_ITS_WORDS)
def test_statement_is_refused_as_a_cluster_does(
    cursor: psycopg2.extensions.cursor, page: str, statement: str, kind: type, words: str
) -> None:
    with pytest.raises(kind) as raised:
        cursor.execute(statement)
    assert words in str(raised.value)
    assert "local_redshift." not in str(raised.value) and "LINE 1" not in str(raised.value)


# PostgreSQL's alone: outside the syntax of the guide's pages, or named in c_unsupported-postgresql-features
POSTGRESQLS = """
SELECT b::text[] FROM t | TEXT[]
SELECT CAST(b AS json) FROM t | JSON
SELECT CAST(b AS jsonb) FROM t | JSONB
SELECT b::uuid FROM t | UUID
SELECT CAST(b AS xml) FROM t | XML
SELECT CAST(b AS money) FROM t | MONEY
SELECT CAST(b AS inet) FROM t | INET
SELECT ARRAY[1, 2] | ARRAY
SELECT j ->> 'x' FROM t | ->>
SELECT j -> 'x' FROM t | ->
SELECT j @> '{}' FROM t | @>
SELECT JSON_AGG(a) FROM t | json_agg
SELECT ROW_TO_JSON(t) FROM t | row_to_json
SELECT JSONB_BUILD_OBJECT('a', 1) | jsonb_build_object
SELECT FORMAT('%s', 'x') | format
SELECT OVERLAY('abc' PLACING 'x' FROM 1) | placing
SELECT ENCODE('x', 'hex') | encode
SELECT REGEXP_MATCHES('a', 'a') | regexp_matches
SELECT REGEXP_SPLIT_TO_TABLE('a', 'a') | regexp_split_to_table
SELECT CORR(a, a) FROM t | corr
SELECT REGR_SLOPE(a, a) FROM t | regr_slope
SELECT MODE() WITHIN GROUP (ORDER BY a) FROM t | mode
SELECT CONCAT('a') | concat
SELECT CONCAT('a', 'b', 'c') | concat
SELECT CONCAT_WS('-', 'a', 'b') | concat_ws
SELECT STARTS_WITH('a', 'a') | starts_with
SELECT DATE_BIN('1 day', SYSDATE, SYSDATE) | date_bin
SELECT MAKE_DATE(2018, 1, 1) | make_date
SELECT GEN_RANDOM_UUID() | gen_random_uuid
SELECT UNNEST(ARRAY[1]) | ARRAY
SELECT STRING_AGG(b, ',') FROM t | STRING_AGG
SELECT ARRAY_AGG(a) FROM t | ARRAY_AGG
SELECT * FROM (VALUES (1)) AS x | VALUES
WITH x AS (VALUES (1)) SELECT * FROM x | VALUES
SELECT a FROM t WHERE a IN (VALUES (1)) | VALUES
VALUES (1) | VALUES
WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n | UNION
WITH x AS (SELECT 1 AS a) INSERT INTO u SELECT * FROM x | WITH
WITH x AS (DELETE FROM u RETURNING a) SELECT * FROM x | RETURNING
WITH x AS MATERIALIZED (SELECT 1 AS a) SELECT * FROM x | MATERIALIZED
WITH x AS NOT MATERIALIZED (SELECT 1 AS a) SELECT * FROM x | MATERIALIZED
UPDATE t SET (a, b) = (1, 'x') | SET
UPDATE t SET a = 1 RETURNING a | RETURNING
INSERT INTO u VALUES (1) ON CONFLICT DO NOTHING | ON CONFLICT
INSERT INTO v VALUES (1) | view
TRUNCATE t, u | several
TRUNCATE u CASCADE | CASCADE
CREATE TABLE IF NOT EXISTS x AS SELECT 1 AS a | IF NOT EXISTS
CREATE TABLE x AS SELECT 1 AS a WITH NO DATA | NO DATA
CREATE TABLE x (a SERIAL) | SERIAL
CREATE TABLE x (a JSONB) | JSONB
CREATE TABLE x (LIKE t INCLUDING ALL) | LIKE
CREATE UNLOGGED TABLE x (a INT) | UNLOGGED
CREATE TABLE x (a INT) INHERITS (t) | INHERITS
CREATE INDEX i ON t (a) | INDEX
CREATE UNIQUE INDEX i ON t (a) | INDEX
CREATE SEQUENCE s | SEQUENCE
CREATE TEMP SEQUENCE s | SEQUENCE
CREATE TEMP VIEW x AS SELECT 1 AS a | VIEW
CREATE TYPE x AS ENUM ('a') | TYPE
CREATE DOMAIN x AS INT | DOMAIN
CREATE TRIGGER x | TRIGGER
CREATE RULE x | RULE
CREATE EXTENSION x | EXTENSION
DROP INDEX i | INDEX
DROP SEQUENCE s | SEQUENCE
ALTER TABLE t DROP COLUMN IF EXISTS a | IF EXISTS
ALTER TABLE t DROP COLUMN a, DROP COLUMN b | several
ALTER TABLE t ALTER COLUMN a SET DEFAULT 1 | SET DEFAULT
ALTER TABLE t ALTER COLUMN a SET NOT NULL | SET NOT NULL
ALTER TABLE t SET (fillfactor = 70) | SET
SELECT x.a FROM t, LATERAL (SELECT t.a) AS x | LATERAL
SELECT a FROM t TABLESAMPLE SYSTEM (5) | TABLESAMPLE
SELECT a FROM t FETCH FIRST 1 ROWS ONLY | FETCH FIRST
SELECT a FROM t FOR SHARE | FOR SHARE
SELECT a FROM t FOR UPDATE | FOR UPDATE
SELECT SUM(a) OVER w FROM t WINDOW w AS (PARTITION BY b) | WINDOW
SELECT SUM(a) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t | RANGE
SELECT SUM(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t | GROUPS
SELECT COUNT(*) FILTER (WHERE a > 1) FROM t | FILTER
SELECT DISTINCT ON (a) a, b FROM t | DISTINCT ON
SELECT a FROM t WHERE a IS NOT DISTINCT FROM 1 | IS NOT DISTINCT FROM
SELECT b COLLATE "C" FROM t | COLLATE
SELECT a OPERATOR(pg_catalog.+) 1 FROM t | OPERATOR
EXPLAIN ANALYZE SELECT 1 | EXPLAIN ANALYZE
EXPLAIN (FORMAT JSON) SELECT 1 | EXPLAIN
VACUUM ANALYZE t | VACUUM ANALYZE
SET work_mem = '1MB' | work_mem
DECLARE c SCROLL CURSOR FOR SELECT 1 | SCROLL
DECLARE c CURSOR WITH HOLD FOR SELECT 1 | WITH HOLD
LOCK t IN SHARE MODE | LOCK
SAVEPOINT s | SAVEPOINT
LISTEN x | LISTEN
DO $$ BEGIN NULL; END $$ | DO
""".strip().splitlines()


@pytest.mark.parametrize("case", POSTGRESQLS)
def test_what_is_postgresqls_alone_is_refused(cursor: psycopg2.extensions.cursor, case: str) -> None:
    statement, named = (part.strip() for part in case.rsplit("|", 1))
    with pytest.raises((errors.FeatureNotSupported, errors.UndefinedFunction, errors.SyntaxError)) as raised:
        cursor.execute(statement)
    assert named.lower() in str(raised.value).lower()


# a cluster takes these; each page is the feature's own
CLUSTERS = """
SELECT * FROM t PIVOT (SUM(a) FOR b IN ('x')) | PIVOT
SELECT * EXCLUDE (b) FROM t JOIN u ON t.a = u.a NATURAL JOIN child | EXCLUDE
SELECT * FROM t UNPIVOT (x FOR y IN (a)) | UNPIVOT
SELECT NTH_VALUE(a, 1) IGNORE NULLS OVER (ORDER BY a ROWS UNBOUNDED PRECEDING) FROM t | NTH_VALUE
SELECT INTERVAL '2:30' MINUTE TO SECOND | interval
SELECT j.x[0] FROM t | SUPER
SELECT j[0].x FROM t | SUPER
SELECT (j).x FROM t | SUPER
SELECT x FROM t, t.j AS x | SUPER
SELECT x FROM t AS r LEFT JOIN r.j AS x ON TRUE | SUPER
SELECT a FROM t, u WHERE t.a = u.a (+) | (+)
SELECT CHECKSUM(a) FROM t | CHECKSUM
SELECT ST_POINT(1, 2) | ST_POINT
SELECT H3_CENTER(1) | H3_CENTER
SELECT ADDBBOX(b) FROM t | ADDBBOX
SELECT GETBIT(FROM_HEX('4d'), 2) | GETBIT
SELECT ARRAY_SORT(j) FROM t | ARRAY_SORT
SELECT LAST_USER_QUERY_ID() | LAST_USER_QUERY_ID
SELECT HLL(a) FROM t | HLL
SELECT b::GEOMETRY FROM t | GEOMETRY
SELECT b::HLLSKETCH FROM t | HLLSKETCH
SELECT a FROM elsewhere.public.t | another database
SELECT 1 AS a123456789012345678901234567890123456789012345678901234567890123 | 63 bytes
CREATE MATERIALIZED VIEW x AS SELECT a FROM t | MATERIALIZED VIEW
REFRESH MATERIALIZED VIEW x | REFRESH
CREATE FUNCTION f (a INT) RETURNS INT STABLE AS $$ SELECT $1; $$ LANGUAGE sql | FUNCTION
CREATE OR REPLACE PROCEDURE p () AS $$ BEGIN NULL; END $$ LANGUAGE plpgsql | PROCEDURE
CALL p() | CALL
CREATE EXTERNAL TABLE x.y (a INT) STORED AS PARQUET LOCATION 's3://b/k' | EXTERNAL
CREATE EXTERNAL SCHEMA x FROM DATA CATALOG | EXTERNAL
CREATE MODEL m | MODEL
CREATE DATASHARE d | DATASHARE
UNLOAD ('SELECT 1') TO 's3://b/k' IAM_ROLE 'r' | UNLOAD
ALTER TABLE t APPEND FROM u | APPEND
ANALYZE COMPRESSION t | COMPRESSION
SHOW GRANTS ON TABLE t | SHOW GRANTS
SET enable_case_sensitive_identifier TO true | case_sensitive
COPY t FROM 's3://b/k' IAM_ROLE 'r' CSV IGNOREHEADER 1 | COPY of CSV
COPY t FROM 's3://b/k' IAM_ROLE 'r' DELIMITER '|' NULL AS '' | COPY of delimited text
COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT AS PARQUET | COPY of PARQUET
PREPARE p AS SELECT 1 | PREPARE
""".strip().splitlines()


@pytest.mark.parametrize("case", CLUSTERS)
def test_what_the_stand_in_lacks_is_refused_by_name(cursor: psycopg2.extensions.cursor, case: str) -> None:
    statement, named = (part.strip() for part in case.rsplit(" | ", 1))
    with pytest.raises(errors.FeatureNotSupported) as raised:
        cursor.execute(statement)
    assert named.lower() in str(raised.value).lower() and "stand-in" in str(raised.value)


@pytest.mark.parametrize(
    "word", sorted({word for phrase in NOT_IN_REDSHIFT for word in re.findall(r"[A-Z_]+", phrase)})
)
def test_name_may_contain_a_word_that_is_refused(cursor: psycopg2.extensions.cursor, word: str) -> None:
    for name in (f"co{word}", f"{word}s"):
        cursor.execute(f"SELECT {name} FROM (SELECT 1 AS {name}) AS x")
        assert cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("nothing", ["", " ; ", "-- x", "/* x */ ;"])
def test_statement_of_nothing_is_refused_as_by_the_driver(cursor: psycopg2.extensions.cursor, nothing: str) -> None:
    with pytest.raises(psycopg2.ProgrammingError, match="can't execute an empty query"):
        cursor.execute(nothing)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("SELECT a\nFROM t\nWHERE (a = 1", "line 3"),
        ("SELECT a FROM t GROUP a", "line 1, column"),
        ("SELECT 'abc FROM t", "quote"),
        ("INSERT INTO u SELECT FROM WHERE", "line 1"),
    ],
)
def test_statement_that_cant_be_read_is_refused_with_the_place(
    cursor: psycopg2.extensions.cursor, statement: str, place: str
) -> None:
    with pytest.raises(errors.SyntaxError, match=place):
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD",
        "ALTER TABLE t OWNER TO",
        "CREATE TABLE z (a INT DEFAULT)",
        "CREATE TABLE z (a INT, PRIMARY KEY)",
        "CREATE TABLE z AS",
        "CREATE VIEW z AS",
        "CREATE VIEW AS SELECT 1 WITH NO SCHEMA BINDING",
        "CREATE TABLE",
        "EXPLAIN",
        "DECLARE c CURSOR FOR",
        "SELECT",
        "MERGE INTO t",
    ],
)
def test_statement_that_breaks_off_is_a_syntax_error(cursor: psycopg2.extensions.cursor, statement: str) -> None:
    with pytest.raises(errors.SyntaxError):
        cursor.execute(statement)


def test_deeply_nested_statement_is_refused_and_not_a_crash(cursor: psycopg2.extensions.cursor) -> None:
    with pytest.raises(errors.FeatureNotSupported, match="nested"):
        cursor.execute("SELECT " + "(" * 3000 + "1" + ")" * 3000)
