"""What tools ask the catalog, and statements that tools and pipelines send. Each row says who sends it, or its page.

DG is https://docs.aws.amazon.com/redshift/latest/dg/.
"""

import psycopg2
import pytest
from psycopg2 import errors

TABLES = """
CREATE TABLE p (id INT PRIMARY KEY, b VARCHAR(20) ENCODE zstd, UNIQUE (b));
CREATE TABLE c (
    id BIGINT IDENTITY(3, 2) SORTKEY,
    p INT DISTKEY,
    b VARCHAR(20) REFERENCES p (b),
    s SUPER,
    v VARBYTE(5),
    CONSTRAINT to_p FOREIGN KEY (p) REFERENCES p
);
CREATE TABLE i (a INT, b DATE, c BOOLEAN) DISTSTYLE ALL INTERLEAVED SORTKEY (a, b);
CREATE VIEW bound AS SELECT a FROM i;
CREATE VIEW late AS SELECT a, b FROM public.i WITH NO SCHEMA BINDING
"""


QUERIES = [
    # sqlalchemy-redshift, JDBC's getPrimaryKeys and redshift_connector read pg_constraint and pg_index
    (
        "SELECT conname, contype, conkey, confkey, pg_catalog.pg_get_constraintdef(oid, true) "
        "FROM pg_catalog.pg_constraint ORDER BY oid",
        [
            ("p_pkey", "p", [1], None, "PRIMARY KEY (id)"),
            ("p_b_key", "u", [2], None, "UNIQUE (b)"),
            ("c_b_fkey", "f", [3], [2], "FOREIGN KEY (b) REFERENCES p(b)"),
            ("to_p", "f", [2], [1], "FOREIGN KEY (p) REFERENCES p(id)"),
        ],
    ),
    (
        "SELECT relname, indkey, indisprimary FROM pg_catalog.pg_index JOIN pg_class ON pg_class.oid = indrelid "
        "ORDER BY 3 DESC",
        [("p", "1", True), ("p", "2", False)],
    ),
    (
        "SELECT column_name, data_type FROM svv_columns WHERE table_name = 'c' AND ordinal_position > 3 ORDER BY 1",
        [("s", "super"), ("v", "binary varying")],
    ),
    # JDBC's getPrimaryKeys: https://github.com/pgjdbc/pgjdbc, PgDatabaseMetaData
    (
        "SELECT ct.relname, a.attname, (information_schema._pg_expandarray(i.indkey)).n, ci.relname "
        "FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON ct.oid = a.attrelid "
        "JOIN pg_catalog.pg_index i ON a.attrelid = i.indrelid JOIN pg_catalog.pg_class ci ON ci.oid = i.indexrelid "
        "WHERE true AND i.indisprimary AND a.attnum = 1",
        [("p", "id", 1, "p_pkey")],
    ),
    (
        "SELECT constraint_name, constraint_type FROM information_schema.table_constraints ORDER BY 1",
        [("c_b_fkey", "FOREIGN KEY"), ("p_b_key", "UNIQUE"), ("p_pkey", "PRIMARY KEY"), ("to_p", "FOREIGN KEY")],
    ),
    (
        "SELECT constraint_name, column_name FROM information_schema.key_column_usage "
        "WHERE table_name = 'c' ORDER BY 1",
        [("c_b_fkey", "b"), ("to_p", "p")],
    ),
    ("SELECT indexname FROM pg_indexes WHERE tablename = 'p' ORDER BY 1", [("p_b_key",), ("p_pkey",)]),  # awswrangler
    # sqlalchemy-redshift: DG c_choosing_dist_sort
    (
        "SELECT relname, reldiststyle FROM pg_class WHERE relname IN ('p', 'c', 'i') ORDER BY 1",
        [("c", 1), ("i", 8), ("p", 11)],
    ),
    (
        "SELECT attname, attisdistkey, attsortkeyord, format_encoding(attencodingtype::integer) "
        "FROM pg_attribute WHERE attrelid = 'c'::regclass AND attnum > 0 ORDER BY attnum",
        [
            ("id", False, 1, "none"),
            ("p", True, 0, "az64"),
            ("b", False, 0, "lzo"),
            ("s", False, 0, "none"),
            ("v", False, 0, "az64"),
        ],
    ),
    (
        "SELECT attname, attsortkeyord FROM pg_attribute WHERE attrelid = 'i'::regclass AND attnum > 0 ORDER BY attnum",
        [("a", 1), ("b", -2), ("c", 0)],
    ),
    (
        "SELECT format_encoding(attencodingtype) FROM pg_attribute WHERE attname = 'b' AND attrelid = 'p'::regclass",
        [("zstd",)],
    ),
    (
        "SELECT a.attname, pg_catalog.format_type(atttypid, atttypmod), pg_catalog.pg_get_expr(adbin, adrelid) "
        "FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        "WHERE attrelid = 'c'::regclass AND attname IN ('s', 'v', 'b') ORDER BY 1",
        [("b", "character varying(20)", None), ("s", "super", None), ("v", "binary varying", None)],
    ),
    # sqlalchemy-redshift: a number for a truth value, and an alias in WHERE
    ("SELECT relname AS table_name FROM pg_catalog.pg_class WHERE 1 AND table_name = 'p'", [("p",)]),
    # dbt-redshift: DG PG_GET_LATE_BINDING_VIEW_COLS
    (
        "SELECT * FROM pg_get_late_binding_view_cols() cols (s name, v name, c name, t varchar, n int) ORDER BY n",
        [("public", "late", "a", "integer", 1), ("public", "late", "b", "date", 2)],
    ),
    ("SELECT viewname FROM pg_views WHERE schemaname = 'public' ORDER BY 1", [("bound",), ("late",)]),
    ("SELECT COUNT(*) FROM svv_external_tables", [(0,)]),
    # Soda, and every browser: nothing of the stand-in's own
    (
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        [("bound",), ("c",), ("i",), ("late",), ("p",)],
    ),
    ("SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'local%'", [(0,)]),
    ("SELECT data_type FROM information_schema.columns WHERE table_name = 'c' AND column_name = 's'", [("super",)]),
    ("SELECT array_to_string(current_schemas(false), ',')", [("public",)]),
    # getTypeInfo of JDBC, psycopg's types
    (
        "SELECT s.r, (current_schemas(false))[s.r] AS nspname"
        " FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s(r) JOIN pg_namespace ON s.r = 1"
        " WHERE nspname = 'public'",
        [(1, "public")],
    ),
    # DG r_SVV_TABLES, r_SVV_ALL_COLUMNS, r_SVV_REDSHIFT_COLUMNS, also as pg_catalog.x
    ("SELECT COUNT(*) FROM pg_catalog.svv_tables WHERE table_schema = 'public'", [(5,)]),
    (
        "SELECT column_name, data_type, character_maximum_length FROM svv_all_columns "
        "WHERE table_name = 'p' ORDER BY ordinal_position",
        [("id", "integer", None), ("b", "character varying", 20)],
    ),
    (
        "SELECT encoding, distkey FROM svv_redshift_columns WHERE table_name = 'c' AND column_name = 'p'",
        [("az64", True)],
    ),
    ("SHOW SCHEMAS FROM DATABASE catalog LIKE 'pub%'", None),  # DG r_SHOW_SCHEMAS
    ("SHOW TABLES FROM SCHEMA catalog.public", None),  # dbt-redshift, DG r_SHOW_TABLES
    ("SHOW COLUMNS FROM TABLE catalog.public.p", None),  # DG r_SHOW_COLUMNS
    ("SHOW enable_case_sensitive_identifier", [("off",)]),  # awswrangler
    ("SELECT proisagg FROM pg_proc WHERE proname = 'count' LIMIT 1", [(True,)]),  # psql's \df
]


@pytest.mark.parametrize(("query", "rows"), QUERIES)
def test_catalog_answers_as_a_clusters(cursor: psycopg2.extensions.cursor, query: str, rows: list | None) -> None:
    cursor.execute(query)
    found = cursor.fetchall()
    assert found == rows if rows is not None else found


def test_system_views_are_found_whatever_the_search_path(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("SET search_path TO public")  # Soda connects with it
    cursor.execute("SELECT COUNT(*) FROM svv_columns WHERE table_name = 'p'")
    assert cursor.fetchall() == [(2,)]


STATEMENTS = [
    # DG r_WHERE_clause: an alias of the SELECT list; found in two repositories inside a derived table
    ("SELECT u FROM (SELECT id AS u FROM p WHERE u = 1) s", []),
    ("WITH x AS (SELECT id AS u, u + 1 AS w FROM p) SELECT w FROM x", []),
    (
        "SELECT id FROM p WHERE b IN (SELECT b AS q FROM c WHERE q = 'x' UNION ALL SELECT b AS q FROM c WHERE q = 'y')",
        [],
    ),
    # seen: svv_table_info of a cluster shows a table with such a column
    (
        "CREATE TEMP TABLE m (timestamp TIMESTAMP); SELECT EXTRACT(hour FROM timestamp) FROM m ORDER BY timestamp",
        [],
    ),
    # a name of a type is refused only just before a comma of a list
    (
        "CREATE TEMP TABLE q (time TIME, n INT); "
        "SELECT n FROM q ORDER BY time ASC, n; SELECT n FROM q ORDER BY time DESC, n; "
        "SELECT RANK() OVER (ORDER BY time, n) FROM q ORDER BY n, time",
        [],
    ),
    # seen: 319 rows of a notebook were made by it
    ("SELECT TO_TIMESTAMP(1542837407796, 'YYYYMMDD HHMISS')::DATE::VARCHAR", [("1549-01-13",)]),
    # DG r_TO_DATE_function: one rule for days that a month lacks
    (
        "SELECT TO_DATE('30 02 2018', 'DD MM YYYY')::VARCHAR, TO_DATE('20180230', 'YYYYMMDD')::VARCHAR",
        [("2018-03-02",) * 2],
    ),
    # seen: two notebook runs
    (
        "CREATE TEMP TABLE k (k INT); INSERT INTO k (SELECT DISTINCT id + 1 AS k FROM p ORDER BY id); SELECT * FROM k",
        [],
    ),
    # DG c_Type_Info_Functions
    (
        "SELECT IS_OBJECT(JSON_PARSE('{}')), IS_ARRAY(JSON_PARSE('{}')), IS_SMALLINT(JSON_PARSE('40000'))",
        [(True, False, False)],
    ),
    ("SELECT DATEPART(year, '2018-11-01'::DATE)::INT", [(2018,)]),
    # DG r_PERCENTILE_DISC, r_WF_PERCENTILE_DISC: the same with and without OVER
    (
        "SELECT DISTINCT PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY v DESC) OVER ()::INT FROM "
        "(SELECT 1 AS v UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) n",
        [(3,)],
    ),
    ("CREATE TEMP TABLE filter (returning INT); SELECT returning FROM filter", []),  # no reserved words
    ("CREATE TEMP TABLE f (a FLOAT(53), b FLOAT(24)); SELECT a, b FROM f", []),  # pandas.to_sql
    # dbt's seeds
    ('CREATE TEMP TABLE seed (a INT); TRUNCATE "catalog"."public"."p"; SELECT COUNT(*) FROM p', [(0,)]),
    # DG r_CREATE_USER, r_CREATE_GROUP, r_GRANT
    (
        "CREATE USER u9 PASSWORD DISABLE NOCREATEUSER SYSLOG ACCESS RESTRICTED; CREATE GROUP g9 WITH USER u9; "
        "CREATE ROLE r9; GRANT ROLE r9 TO u9; REVOKE ROLE r9 FROM u9; "
        "DROP ROLE r9; DROP GROUP g9; DROP USER u9; SELECT 1",
        [(1,)],
    ),
    ("SET default_transaction_isolation TO DEFAULT; SELECT 1", [(1,)]),  # psycopg2's set_session
    # a limit in bytes follows its column
    ("ALTER TABLE p RENAME COLUMN b TO e; ALTER TABLE p ADD COLUMN b VARCHAR(20); SELECT b FROM p", []),
]


@pytest.mark.parametrize(("statements", "rows"), STATEMENTS)
def test_statement_of_a_pipeline_is_taken(
    database: psycopg2.extensions.connection, statements: str, rows: list
) -> None:
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE p (id INT, b VARCHAR(20)); CREATE TABLE c (b VARCHAR(20))")
        cursor.execute(statements.replace('"catalog"', f'"{database.info.dbname}"'))
        assert cursor.fetchall() == rows


REFUSED = [
    # DG r_CREATE_VIEW; the words are those of a public report
    (
        "CREATE VIEW v AS SELECT id FROM p WITH NO SCHEMA BINDING",
        errors.InternalError_,
        "All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING.",
    ),
    (
        "ALTER TABLE p ADD PRIMARY KEY (id); ALTER TABLE p ADD PRIMARY KEY (b)",
        errors.InternalError_,
        "multiple primary keys",
    ),
    (
        "ALTER TABLE p DROP CONSTRAINT nosuch",
        errors.InternalError_,
        'constraint "nosuch" of relation "p" does not exist',
    ),
    ("COPY p FROM '' JSON 'auto'", errors.SyntaxError, "the source is empty"),
    # accepted before, and refused by a cluster
    ("ALTER TABLE missing ADD PRIMARY KEY (a)", errors.UndefinedTable, 'relation "missing" does not exist'),
    ("ALTER TABLE p ADD FOREIGN KEY (zz) REFERENCES c", errors.UndefinedColumn, 'column "zz" named in key'),
    ("ALTER TABLE p ADD CONSTRAINT x CHECK (id > 1)", errors.FeatureNotSupported, "CHECK"),
    ("TRUNCATE p RESTART IDENTITY", errors.FeatureNotSupported, "IDENTITY after TRUNCATE"),
    ("CREATE TABLE d (a INT) DISTKEY (b)", errors.UndefinedColumn, 'column "b" named in key does not exist'),
    ("CREATE TABLE d DISTKEY (b) AS SELECT 1 AS a", errors.UndefinedColumn, 'column "b" named in key does not exist'),
    ("ALTER TABLE p ALTER SORTKEY (zz)", errors.UndefinedColumn, 'column "zz" named in key does not exist'),
    ("CREATE TABLE d (a INT, b INT) DISTKEY (a, b)", errors.SyntaxError, "DISTKEY takes one column"),
    ("CREATE TABLE d (a INT) SORTKEY (a, a)", errors.SyntaxError, "named twice in SORTKEY"),
    ("CREATE TABLE d (a INT) DISTSTYLE KEY", errors.SyntaxError, "DISTSTYLE KEY needs a DISTKEY"),
    ("CREATE TABLE d (a SUPER) SORTKEY (a)", errors.SyntaxError, "of type SUPER"),
    ("CREATE TABLE d (a SUPER DISTKEY)", errors.SyntaxError, "of type SUPER"),
    ("CREATE TABLE d (a INT ENCODE foo)", errors.SyntaxError, "ENCODE foo: there is no such encoding"),
    # seen, in a cluster's words
    (
        "CREATE TABLE d (a INT IDENTITY(1, 1), b INT); UPDATE d SET a = 1",
        errors.InternalError_,
        "cannot set an identity column",
    ),
    ("SHOW server_version", errors.InternalError_, 'must be superuser to examine "server_version"'),
    ("SELECT timestamp, id FROM p", errors.SyntaxError, 'near ","'),
    ("SELECT datetime, id FROM p", errors.SyntaxError, 'near ","'),
    ("SELECT id FROM p ORDER BY id, time, action", errors.SyntaxError, 'near ","'),
    # https://github.com/aws/amazon-redshift-jdbc-driver/issues/155
    ("SELECT current_catalog", errors.UndefinedColumn, 'column "current_catalog" does not exist'),
    ("SELECT * FROM stl_undone", errors.UndefinedTable, "does not support every system view of a cluster"),
]


@pytest.mark.parametrize(("statements", "kind", "words"), REFUSED)
def test_statement_is_refused_as_by_a_cluster(
    database: psycopg2.extensions.connection, statements: str, kind: type, words: str
) -> None:
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE p (id INT, b VARCHAR(20)); CREATE TABLE c (b VARCHAR(20))")
        with pytest.raises(kind) as raised:
            cursor.execute(statements)
    assert words in str(raised.value) and "local_redshift" not in str(raised.value)


def test_table_like_another_inherits_what_is_not_a_key(database: psycopg2.extensions.connection) -> None:
    # DG r_CREATE_TABLE_NEW: distribution style and sort keys are inherited, primary and foreign keys are not
    with database.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE a (x INT PRIMARY KEY DISTKEY, y DATE ENCODE zstd) SORTKEY (y); CREATE TABLE b (LIKE a)"
        )
        cursor.execute(
            'SELECT tablename, "column", encoding, distkey, sortkey FROM pg_table_def WHERE tablename = %s', ["b"]
        )
        assert [(*row[:2], row[2].strip(), *row[3:]) for row in cursor] == [
            ("b", "x", "az64", True, 0),
            ("b", "y", "zstd", False, 1),
        ]
        cursor.execute("SELECT conname FROM pg_constraint")
        assert cursor.fetchall() == [("a_pkey",)]


def test_key_goes_with_its_column_and_its_table(database: psycopg2.extensions.connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE a (x INT PRIMARY KEY, y INT UNIQUE); CREATE TABLE b (x INT REFERENCES a)")
        cursor.execute("SELECT constraint_name, unique_constraint_name FROM information_schema.referential_constraints")
        assert cursor.fetchall() == [("b_x_fkey", "a_pkey")]
        cursor.execute("ALTER TABLE a DROP COLUMN y; DROP TABLE a CASCADE; SELECT conname FROM pg_constraint")
        assert cursor.fetchall() == []


def test_prepared_statement_follows_a_late_binding_view(database: psycopg2.extensions.connection) -> None:
    psycopg = pytest.importorskip("psycopg")
    where = database.get_dsn_parameters()
    database.commit()
    with psycopg.connect(host=where["host"], port=where["port"], user=where["user"], dbname=where["dbname"]) as client:
        client.execute("CREATE TABLE t AS SELECT 1 AS a")
        for columns, row in (("a", (1,)), ("a + 1 AS a", (2,)), ("a", (1,))):
            client.execute(f"CREATE OR REPLACE VIEW v AS SELECT {columns} FROM public.t WITH NO SCHEMA BINDING")
            assert client.execute("SELECT * FROM v", prepare=True).fetchone() == row
