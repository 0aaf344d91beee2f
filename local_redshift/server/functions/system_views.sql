-- System views. https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html: columns are in the guide's
-- order. Some values are placeholders, such as encodings and distribution styles in svv_table_info. Query logs list
-- only COPYs.

CREATE VIEW local_redshift.user_tables AS
SELECT
    pg_class.oid,
    nspname,
    relname,
    relpersistence,
    reltuples,
    (
        SELECT indkey FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS i ON i.oid = indexrelid JOIN pg_catalog.pg_am ON pg_am.oid = i.relam
        WHERE indrelid = pg_class.oid AND amname = 'brin' LIMIT 1
    ) AS sort_key
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema', 'local_redshift', 'pg_toast');

-- https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLE_INFO.html: only tables with rows; sizes in blocks of 1 MB
CREATE VIEW local_redshift.svv_table_info AS
SELECT
    current_database()::text AS database,
    nspname::text AS schema,
    user_tables.oid AS table_id,
    relname::text AS "table",
    'N'::text AS encoded,
    'EVEN'::text AS diststyle,
    coalesce(attname::text, '') AS sortkey1,
    (
        SELECT coalesce(max(atttypmod - 4), 0) FROM pg_catalog.pg_attribute
        WHERE attrelid = user_tables.oid AND atttypid = 'varchar'::regtype AND attnum > 0
    )::integer AS max_varchar,
    'none'::char(32) AS sortkey1_enc,
    coalesce(cardinality(string_to_array(sort_key::text, ' ')), 0) AS sortkey_num,
    ceil(pg_total_relation_size(user_tables.oid) / 1048576.0)::bigint AS size,
    0::numeric(10, 4) AS pct_used,
    0::bigint AS empty,
    0::numeric(5, 2) AS unsorted,
    0::numeric(5, 2) AS stats_off,
    greatest(reltuples, 0)::numeric(38, 0) AS tbl_rows,
    0::numeric(19, 2) AS skew_sortkey1,
    1::numeric(19, 2) AS skew_rows,
    greatest(reltuples, 0)::numeric(38, 0) AS estimated_visible_rows,
    ''::text AS risk_event,
    0::numeric(12, 2) AS vacuum_sort_benefit
FROM local_redshift.user_tables
LEFT JOIN pg_catalog.pg_attribute ON attrelid = user_tables.oid
    AND attnum = (string_to_array(sort_key::text, ' ')::integer[])[1]
WHERE pg_relation_size(user_tables.oid) > 0;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STV_SLICES.html: one slice
CREATE VIEW local_redshift.stv_slices AS
SELECT 0 AS node, 0 AS slice, 0 AS localslice, 'D'::char(1) AS type;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STV_TBL_PERM.html
CREATE VIEW local_redshift.stv_tbl_perm AS
SELECT
    0 AS slice,
    oid::integer AS id,
    relname::char(72) AS name,
    greatest(reltuples, 0)::bigint AS rows,
    greatest(reltuples, 0)::bigint AS sorted_rows,
    (relpersistence = 't')::integer AS temp,
    (SELECT oid::integer FROM pg_catalog.pg_database WHERE datname = current_database()) AS db_id,
    0 AS insert_pristine,
    0 AS delete_pristine,
    0 AS backup,
    0 AS dist_style,
    ceil(pg_relation_size(oid) / 1048576.0)::integer AS block_count
FROM local_redshift.user_tables;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STL_QUERY.html, r_SVL_QLOG.html, SYS_QUERY_HISTORY.html: the stand-in lists only COPYs
CREATE VIEW local_redshift.stl_query AS
SELECT
    100 AS userid,
    query,
    'default'::char(320) AS label,
    0::bigint AS xid,
    session AS pid,
    current_database()::char(32) AS database,
    ('COPY FROM ' || data_source)::char(4000) AS querytxt,
    starttime,
    recordtime AS endtime,
    (status = 'aborted')::integer AS aborted,
    0 AS insert_pristine,
    0 AS concurrency_scaling_status
FROM local_redshift.copies
WHERE status <> 'running';

CREATE VIEW local_redshift.svl_qlog AS
SELECT
    userid,
    query,
    xid,
    pid,
    starttime,
    endtime,
    (extract(epoch FROM endtime - starttime) * 1000000)::bigint AS elapsed,
    aborted,
    label,
    querytxt::char(60) AS substring,
    NULL::integer AS source_query,
    ''::text AS concurrency_scaling_status_txt,
    0 AS from_sp_call
FROM local_redshift.stl_query;

CREATE VIEW local_redshift.sys_query_history AS
SELECT
    100 AS user_id,
    query::bigint AS query_id,
    'default'::char(320) AS query_label,
    0::bigint AS transaction_id,
    session AS session_id,
    current_database()::char(128) AS database_name,
    'COPY'::char(32) AS query_type,
    (CASE status WHEN 'completed' THEN 'success' WHEN 'aborted' THEN 'failed' ELSE status END)::char(10) AS status,
    false AS result_cache_hit,
    starttime AS start_time,
    CASE WHEN status <> 'running' THEN recordtime END AS end_time,
    (extract(epoch FROM recordtime - starttime) * 1000000)::bigint AS elapsed_time,
    0::bigint AS queue_time,
    (extract(epoch FROM recordtime - starttime) * 1000000)::bigint AS execution_time,
    ''::char(512) AS error_message,
    lines AS returned_rows,
    0::bigint AS returned_bytes,
    ('COPY FROM ' || data_source)::char(4000) AS query_text
FROM local_redshift.copies;

-- https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_DETAIL.html
CREATE VIEW local_redshift.sys_load_detail AS
SELECT
    100 AS user_id,
    query::bigint AS query_id,
    filename::char(256) AS file_name,
    0 AS bytes_scanned,
    lines_scanned::integer AS lines_scanned,
    curtime AS record_time,
    1 AS splits_scanned,
    curtime AS start_time,
    curtime AS end_time
FROM local_redshift.load_commits;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STV_SESSIONS.html, SYS_SESSION_HISTORY.html: the stand-in lists only current sessions
CREATE VIEW local_redshift.stv_sessions AS
SELECT
    backend_start AT TIME ZONE 'UTC' AS starttime,
    pid AS process,
    usename::char(50) AS user_name,
    datname::char(50) AS db_name,
    0 AS timeout_sec
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend';

CREATE VIEW local_redshift.sys_session_history AS
SELECT
    usesysid::char(50) AS user_id,
    pid AS session_id,
    datname::char(50) AS database_name,
    'active'::char(50) AS status,
    0 AS session_timeout,
    backend_start AT TIME ZONE 'UTC' AS start_time,
    NULL::timestamp AS end_time
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend';

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STL_CONNECTION_LOG.html: the stand-in lists only current sessions
CREATE VIEW local_redshift.stl_connection_log AS
SELECT
    'authenticated'::char(50) AS event,
    backend_start AT TIME ZONE 'UTC' AS recordtime,
    coalesce(client_addr::text, '127.0.0.1')::char(45) AS remotehost,
    coalesce(client_port, 0)::char(32) AS remoteport,
    pid,
    datname::char(50) AS dbname,
    usename::char(50) AS username,
    'password'::char(32) AS authmethod,
    0 AS duration,
    ''::char(50) AS sslversion,
    ''::char(128) AS sslcipher,
    0 AS mtu,
    ''::char(64) AS sslcompression,
    ''::char(64) AS sslexpansion,
    ''::char(36) AS iamauthguid,
    application_name::char(250) AS application_name,
    ''::char(64) AS os_version,
    ''::char(64) AS driver_version,
    ''::char(32) AS plugin_name,
    0 AS protocol_version,
    pid::char(50) AS sessionid,
    ''::char(8) AS compression
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend';

GRANT SELECT ON ALL TABLES IN SCHEMA local_redshift TO PUBLIC;
