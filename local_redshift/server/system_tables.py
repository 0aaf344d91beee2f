"""Redshift's system tables and functions that PostgreSQL does not have, in one schema.

Every session has this schema in its search_path, before pg_catalog.
"""

from pathlib import Path

VERSION = "13"  # increase it when a statement below changes, so that older data directories are updated

# Rename an older version's schema instead of dropping it, since the user's views, defaults and length constraints may
# depend on it. Later, functions/carry_over.sql copies the data, and drops the renamed schema if nothing depends on it.
SCHEMA = """
DO $$
DECLARE
    free text := 'local_redshift_older';
BEGIN
    IF to_regnamespace('local_redshift') IS NOT NULL THEN
        FOR n IN 2 .. 1000 LOOP
            EXIT WHEN to_regnamespace(free) IS NULL;
            free := 'local_redshift_older' || n;
        END LOOP;
        EXECUTE pg_catalog.format('ALTER SCHEMA local_redshift RENAME TO %I', free);
    END IF;
END $$;
CREATE SCHEMA local_redshift;
GRANT USAGE ON SCHEMA local_redshift TO PUBLIC;
"""

# load_errors has one row per error, load_commits one per file. As on a cluster, the columns of both are NOT NULL, and
# an empty string stands for a missing value.
# https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_ERRORS.html
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_ERROR_DETAIL.html
# https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_COMMITS.html
# https://docs.aws.amazon.com/redshift/latest/dg/r_STV_LOAD_STATE.html
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_HISTORY.html
SYSTEM_TABLES = """
CREATE SEQUENCE local_redshift.query_ids AS integer;

CREATE TABLE local_redshift.load_errors (
    userid          integer NOT NULL,
    slice           integer NOT NULL,
    tbl             integer NOT NULL,
    starttime       timestamp NOT NULL,
    session         integer NOT NULL,
    query           integer NOT NULL,
    filename        text NOT NULL,
    line_number     bigint NOT NULL,
    colname         text NOT NULL,
    type            text NOT NULL,
    col_length      text NOT NULL,
    position        integer NOT NULL,
    raw_line        text NOT NULL,
    raw_field_value text NOT NULL,
    err_code        integer NOT NULL,
    err_reason      text NOT NULL
);

CREATE VIEW local_redshift.stl_load_errors AS
SELECT
    userid,
    slice,
    tbl,
    starttime,
    session,
    query,
    filename::char(256) AS filename,
    line_number,
    colname::char(127) AS colname,
    type::char(10) AS type,
    col_length::char(10) AS col_length,
    position,
    raw_line::char(1024) AS raw_line,
    raw_field_value::char(1024) AS raw_field_value,
    err_code,
    err_reason::char(100) AS err_reason,
    0 AS is_partial,
    0::bigint AS start_offset,
    0::bigint AS copy_job_id
FROM local_redshift.load_errors;

CREATE VIEW local_redshift.sys_load_error_detail AS
SELECT
    userid AS user_id,
    query::bigint AS query_id,
    0::bigint AS transaction_id,
    session AS session_id,
    current_database()::char(64) AS database_name,
    tbl AS table_id,
    starttime AS start_time,
    filename::char(256) AS file_name,
    line_number,
    colname::char(127) AS column_name,
    type::char(10) AS column_type,
    col_length::char(10) AS column_length,
    position,
    err_code AS error_code,
    err_reason::char(512) AS error_message
FROM local_redshift.load_errors;

CREATE TABLE local_redshift.load_commits (
    query           integer NOT NULL,
    filename        text NOT NULL,
    lines_scanned   bigint NOT NULL,
    curtime         timestamp NOT NULL DEFAULT clock_timestamp()
);

CREATE VIEW local_redshift.stl_load_commits AS
SELECT
    100 AS userid,
    query,
    0 AS slice,
    filename::char(256) AS name,
    filename::char(256) AS filename,
    0 AS byte_offset,
    lines_scanned,
    0 AS errors,
    curtime,
    1 AS status,
    'JSON'::char(16) AS file_format,
    0 AS is_partial,
    0::bigint AS start_offset,
    0::bigint AS copy_job_id
FROM local_redshift.load_commits;

CREATE TABLE local_redshift.copies (
    query           integer PRIMARY KEY,
    session         integer NOT NULL,
    tbl             integer NOT NULL,
    starttime       timestamp NOT NULL,
    data_source     text NOT NULL,
    files           integer NOT NULL,
    files_done      integer NOT NULL DEFAULT 0,
    lines           bigint NOT NULL DEFAULT 0,
    errors          integer NOT NULL DEFAULT 0,
    status          text NOT NULL DEFAULT 'running',
    recordtime      timestamp NOT NULL DEFAULT clock_timestamp()
);

-- a COPY whose session is gone was killed
CREATE VIEW local_redshift.running_copies AS
SELECT copies.*
FROM local_redshift.copies
JOIN pg_catalog.pg_stat_activity ON pid = session AND backend_start < starttime AT TIME ZONE 'UTC'
WHERE status = 'running';

CREATE VIEW local_redshift.stv_load_state AS
SELECT
    100 AS userid,
    session,
    query,
    0 AS slice,
    session AS pid,
    recordtime,
    0::bigint AS bytes_to_load,
    0::bigint AS bytes_loaded,
    0::bigint AS bytes_to_load_compressed,
    0::bigint AS bytes_loaded_compressed,
    lines::integer AS lines,
    files AS num_files,
    files_done AS num_files_complete,
    ''::char(256) AS current_file,
    CASE WHEN files > 0 THEN files_done::bigint * 100 / files ELSE 0 END::integer AS pct_complete
FROM local_redshift.running_copies;

CREATE VIEW local_redshift.sys_load_history AS
SELECT
    100 AS user_id,
    query::bigint AS query_id,
    0::bigint AS transaction_id,
    session AS session_id,
    current_database()::text AS database_name,
    CASE
        WHEN status = 'running' AND query NOT IN (SELECT query FROM local_redshift.running_copies) THEN 'aborted'
        ELSE status
    END AS status,
    (SELECT relname::text FROM pg_catalog.pg_class WHERE oid = tbl) AS table_name,
    starttime AS start_time,
    CASE WHEN status <> 'running' THEN recordtime END AS end_time,
    (extract(epoch FROM recordtime - starttime) * 1000000)::bigint AS duration,
    data_source,
    'JSON'::text AS file_format,
    lines AS loaded_rows,
    0::bigint AS loaded_bytes,
    files AS source_file_count,
    0::bigint AS source_file_bytes,
    files_done AS file_count_scanned,
    0::bigint AS file_bytes_scanned,
    errors AS error_count,
    0::bigint AS copy_job_id
FROM local_redshift.copies;

-- the changes that a table had seen when its statistics were made
CREATE TABLE local_redshift.analyzed (
    tbl             oid PRIMARY KEY,
    changes         bigint NOT NULL
);

-- keys are declared and not enforced; but a table that one refers to can't be dropped
CREATE SEQUENCE local_redshift.key_ids MINVALUE 3000000000 START 3000000000;

CREATE TABLE local_redshift.keys (
    oid             oid PRIMARY KEY DEFAULT nextval('local_redshift.key_ids')::text::oid,
    tbl             oid NOT NULL,
    name            text NOT NULL,
    kind            "char" NOT NULL,  -- as pg_constraint has it: p, u or f
    columns         smallint[] NOT NULL,
    parent          oid,
    parent_columns  smallint[]
);

-- what was declared of distribution, sort keys and encodings
CREATE TABLE local_redshift.table_attributes (
    tbl             oid PRIMARY KEY,
    diststyle       smallint NOT NULL  -- as pg_class has it
);

CREATE TABLE local_redshift.column_attributes (
    tbl             oid NOT NULL,
    attnum          smallint NOT NULL,
    encoding        text,
    is_distkey      boolean NOT NULL,
    sortkeyord      integer NOT NULL,  -- alternately positive and negative in an INTERLEAVED key
    PRIMARY KEY (tbl, attnum)
);

CREATE FUNCTION local_redshift.encodings() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{none,bytedict,delta,delta32k,lzo,mostly8,mostly16,mostly32,runlength,text255,text32k,zstd,az64}'::text[]
$$;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html: their tables are looked up when they are read
-- PostgreSQL has a view without columns in the place of each
CREATE TABLE local_redshift.late_binding_views (
    view            oid PRIMARY KEY,
    query           text NOT NULL,
    definition      text NOT NULL DEFAULT ''  -- the whole statement
);

GRANT SELECT ON ALL TABLES IN SCHEMA local_redshift TO PUBLIC;
"""

# CHECK constraints on the byte length of columns call this function to raise Redshift's error.
MESSAGES = """
CREATE FUNCTION local_redshift.too_long(type text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = 'value too long for type ' || type;
END $$;
"""

# System information functions.
SESSION_FUNCTIONS = """
CREATE FUNCTION local_redshift.version() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 '
        || '(Red Hat 3.4.2-6.fc3), Redshift 1.0.0 (local stand-in)'
$$;

-- https://docs.aws.amazon.com/redshift/latest/dg/PG_LAST_COPY_ID.html: -1 where the session ran no COPY
CREATE FUNCTION local_redshift.pg_last_copy_id() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('local_redshift.last_copy_id', true), ''), '-1')::integer
$$;

CREATE FUNCTION local_redshift.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('local_redshift.last_copy_count', true), ''), '0')::bigint
$$;
"""

# Redshift's functions and views, by topic. https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html
FUNCTIONS = [
    (Path(__file__).parent / "functions" / f"{name}.sql").read_text(encoding="utf-8")
    for name in (
        "conversions",
        "numbers",
        "text",
        "dates",
        "aggregates",
        "json",
        "hashes",
        "system_views",
        "carry_over",
        "pg_catalog",
    )
]

INSTALLED = f"COMMENT ON SCHEMA local_redshift IS '{VERSION}'"

FIND_VERSION = (
    "SELECT obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace WHERE nspname = 'local_redshift'"
)

INSTALL = [SCHEMA, SYSTEM_TABLES, MESSAGES, SESSION_FUNCTIONS, *FUNCTIONS, INSTALLED]
