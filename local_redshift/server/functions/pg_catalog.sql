-- PostgreSQL's catalog as a cluster shows it: with Redshift's columns and those of PostgreSQL 8.0, with declared keys,
-- sort keys and encodings, and without the stand-in's own objects. For example, queries on pg_catalog.pg_class read
-- local_redshift.pg_class (sql/system_queries.py).
-- https://docs.aws.amazon.com/redshift/latest/dg/c_intro_catalog_views.html

CREATE FUNCTION local_redshift.is_own(namespace oid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT namespace IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname LIKE 'local\\_redshift%')
$$;

CREATE FUNCTION local_redshift.is_zone_map(relation oid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_am ON pg_am.oid = relam
        WHERE pg_class.oid = relation AND amname = 'brin'
    )
$$;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html, ENCODE: the default encodings
CREATE FUNCTION local_redshift.encoding(declared text, sortkeyord integer, type regtype) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN declared IS NOT NULL THEN CASE declared WHEN 'raw' THEN 'none' ELSE declared END
        WHEN sortkeyord <> 0 OR type::text IN ('boolean', 'real', 'double precision', 'jsonb') THEN 'none'
        WHEN type::text IN ('character', 'character varying', 'text') THEN 'lzo'
        ELSE 'az64'
    END
$$;

-- convert the stand-in's own encoding numbers to names
CREATE FUNCTION local_redshift.format_encoding(encoding integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (local_redshift.encodings())[encoding + 1]
$$;

CREATE FUNCTION local_redshift.format_type(type oid, modifier integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE type
        WHEN 'jsonb'::regtype THEN 'super'
        WHEN 'bytea'::regtype THEN 'binary varying'
        WHEN 'text'::regtype THEN 'character varying(65535)'
        ELSE pg_catalog.format_type(type, modifier)
    END
$$;

CREATE VIEW local_redshift.pg_namespace AS
SELECT * FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'local\\_redshift%';

-- primary and unique keys are listed as indexes, because drivers look for keys there
CREATE VIEW local_redshift.pg_class AS
SELECT
    pg_class.*,
    false AS relhasoids,
    0::smallint AS reltriggers,
    coalesce(diststyle, 11)::smallint AS reldiststyle  -- 11: AUTO (EVEN)
FROM pg_catalog.pg_class
LEFT JOIN local_redshift.table_attributes ON tbl = pg_class.oid
WHERE NOT local_redshift.is_own(relnamespace) AND NOT (relkind = 'i' AND local_redshift.is_zone_map(pg_class.oid))
UNION ALL
SELECT
    (
        pg_catalog.jsonb_populate_record(
            pg_class,
            jsonb_build_object('oid', keys.oid::bigint, 'relname', name, 'relkind', 'i', 'relnatts', cardinality(columns))
        )
    ).*,
    false,
    0::smallint,
    11::smallint
FROM local_redshift.keys
JOIN pg_catalog.pg_class ON pg_class.oid = tbl
WHERE kind IN ('p', 'u');

CREATE VIEW local_redshift.pg_attribute AS
SELECT
    attrelid,
    attname,
    atttypid,
    attstattarget,
    attlen,
    pg_attribute.attnum,
    attndims,
    -1 AS attcacheoff,
    atttypmod,
    attbyval,
    attstorage,
    attalign,
    attcompression,
    attnotnull,
    atthasdef,
    atthasmissing,
    attidentity,
    attgenerated,
    attisdropped,
    attislocal,
    attinhcount,
    attcollation,
    attacl,
    attoptions,
    attfdwoptions,
    coalesce(is_distkey, false) AS attisdistkey,
    coalesce(sortkeyord, 0) AS attsortkeyord,
    array_position(
        local_redshift.encodings(), local_redshift.encoding(encoding, coalesce(sortkeyord, 0), atttypid)
    ) - 1 AS attencodingtype
FROM pg_catalog.pg_attribute
LEFT JOIN local_redshift.column_attributes
    ON tbl = pg_attribute.attrelid AND column_attributes.attnum = pg_attribute.attnum
UNION ALL
SELECT
    keys.oid,
    attname,
    atttypid,
    attstattarget,
    attlen,
    place::smallint,
    attndims,
    -1 AS attcacheoff,
    atttypmod,
    attbyval,
    attstorage,
    attalign,
    attcompression,
    attnotnull,
    atthasdef,
    atthasmissing,
    attidentity,
    attgenerated,
    attisdropped,
    attislocal,
    attinhcount,
    attcollation,
    attacl,
    attoptions,
    attfdwoptions,
    false,
    0,
    0
FROM local_redshift.keys
CROSS JOIN unnest(columns) WITH ORDINALITY AS number (attnum, place)
JOIN pg_catalog.pg_attribute ON attrelid = tbl AND pg_attribute.attnum = number.attnum
WHERE kind IN ('p', 'u');

-- column defaults, without the prefix "local_redshift.", and IDENTITY columns, whose seed and step sqlalchemy-redshift
-- reads here
CREATE VIEW local_redshift.pg_attrdef AS
SELECT oid, adrelid, adnum, adsrc AS adbin, adsrc
FROM (
    SELECT oid, adrelid, adnum, replace(pg_catalog.pg_get_expr(adbin, adrelid), 'local_redshift.', '') AS adsrc
    FROM pg_catalog.pg_attrdef
    UNION ALL
    SELECT
        seqrelid,
        attrelid,
        attnum,
        CASE attidentity WHEN 'a' THEN '"identity"' ELSE 'default_identity' END || '(' || attrelid || ', ' || attnum - 1
            || ', ''' || seqstart || ',' || seqincrement || '''::text)'
    FROM pg_catalog.pg_attribute
    JOIN pg_catalog.pg_depend ON refobjid = attrelid AND refobjsubid = attnum AND deptype = 'i'
    JOIN pg_catalog.pg_sequence ON seqrelid = objid
    WHERE attidentity <> ''
) AS defaults;

CREATE FUNCTION local_redshift.pg_get_expr(expression text, relation oid, pretty boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT expression $$;

CREATE FUNCTION local_redshift.pg_get_expr(expression pg_node_tree, relation oid, pretty boolean DEFAULT false)
RETURNS text LANGUAGE sql STABLE AS $$ SELECT pg_catalog.pg_get_expr(expression, relation, pretty) $$;

CREATE FUNCTION local_redshift.column_names(relation oid, numbers smallint[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY place)
    FROM unnest(numbers) WITH ORDINALITY AS number (attnum, place)
    JOIN pg_catalog.pg_attribute USING (attnum)
    WHERE attrelid = relation
$$;

-- a foreign key that names no parent columns refers to the parent's primary key
CREATE FUNCTION local_redshift.column_numbers(relation oid, names json) RETURNS smallint[] LANGUAGE sql STABLE AS $$
    SELECT CASE json_array_length(names)
        WHEN 0 THEN (SELECT columns FROM local_redshift.keys WHERE tbl = relation AND kind = 'p' LIMIT 1)
        ELSE (
            SELECT array_agg(attnum ORDER BY place)
            FROM json_array_elements_text(names) WITH ORDINALITY AS given (name, place)
            JOIN pg_catalog.pg_attribute ON attname = name AND attrelid = relation
        )
    END
$$;

-- keys are declared but not enforced, so PostgreSQL's own catalog does not list them
CREATE VIEW local_redshift.pg_constraint AS
SELECT
    oid,
    name::name AS conname,
    (SELECT relnamespace FROM pg_catalog.pg_class WHERE pg_class.oid = tbl) AS connamespace,
    kind AS contype,
    false AS condeferrable,
    false AS condeferred,
    true AS convalidated,
    true AS conenforced,
    tbl AS conrelid,
    0::oid AS contypid,
    0::oid AS conindid,
    0::oid AS conparentid,
    coalesce(parent, 0::oid) AS confrelid,
    CASE kind WHEN 'f' THEN 'a' ELSE ' ' END::"char" AS confupdtype,
    CASE kind WHEN 'f' THEN 'a' ELSE ' ' END::"char" AS confdeltype,
    CASE kind WHEN 'f' THEN 's' ELSE ' ' END::"char" AS confmatchtype,
    true AS conislocal,
    0::smallint AS coninhcount,
    true AS connoinherit,
    false AS conperiod,
    columns AS conkey,
    parent_columns AS confkey,
    NULL::text AS conbin,
    NULL::text AS consrc
FROM local_redshift.keys
WHERE tbl IN (SELECT oid FROM pg_catalog.pg_class)
    AND (parent IS NULL OR parent IN (SELECT oid FROM pg_catalog.pg_class));

CREATE FUNCTION local_redshift.pg_get_constraintdef(constraint_id oid, pretty boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind
        WHEN 'p' THEN 'PRIMARY KEY (' || local_redshift.column_names(tbl, columns) || ')'
        WHEN 'u' THEN 'UNIQUE (' || local_redshift.column_names(tbl, columns) || ')'
        ELSE 'FOREIGN KEY (' || local_redshift.column_names(tbl, columns) || ') REFERENCES ' || parent::regclass
            || '(' || local_redshift.column_names(parent, parent_columns) || ')'
    END
    FROM local_redshift.keys
    WHERE oid = constraint_id
$$;

-- one row per primary or unique key; JDBC drivers read this view for getPrimaryKeys and getIndexInfo
CREATE VIEW local_redshift.pg_index AS
SELECT
    keys.oid AS indexrelid,
    tbl AS indrelid,
    cardinality(columns)::smallint AS indnatts,
    cardinality(columns)::smallint AS indnkeyatts,
    true AS indisunique,
    kind = 'p' AS indisprimary,
    false AS indisclustered,
    true AS indisvalid,
    true AS indisready,
    true AS indislive,
    false AS indisexclusion,
    true AS indimmediate,
    false AS indcheckxmin,
    false AS indisreplident,
    array_to_string(columns, ' ')::int2vector AS indkey,
    NULL::oidvector AS indclass,
    NULL::text AS indexprs,
    NULL::text AS indpred
FROM local_redshift.keys
WHERE kind IN ('p', 'u') AND tbl IN (SELECT oid FROM pg_catalog.pg_class);

CREATE VIEW local_redshift.pg_indexes AS
SELECT
    nspname AS schemaname,
    relname AS tablename,
    keys.name::name AS indexname,
    NULL::name AS tablespace,
    'CREATE UNIQUE INDEX ' || quote_ident(keys.name) || ' ON ' || quote_ident(nspname) || '.' || quote_ident(relname)
        || ' USING btree (' || local_redshift.column_names(tbl, columns) || ')' AS indexdef
FROM local_redshift.keys
JOIN pg_catalog.pg_class ON pg_class.oid = tbl
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE kind IN ('p', 'u');

CREATE VIEW local_redshift.pg_proc AS
SELECT pg_proc.*, prokind = 'a' AS proisagg, prokind = 'w' AS proiswindow
FROM pg_catalog.pg_proc
WHERE NOT local_redshift.is_own(pronamespace);

CREATE VIEW local_redshift.pg_user AS
SELECT usename, usesysid, usecreatedb, usesuper, false AS usecatupd, passwd, valuntil, useconfig
FROM pg_catalog.pg_user
WHERE usename NOT LIKE 'pg\\_%';

CREATE VIEW local_redshift.pg_database AS
SELECT *, 0 AS datlastsysoid, datfrozenxid AS datvacuumxid, NULL::text[] AS datconfig
FROM pg_catalog.pg_database;

CREATE VIEW local_redshift.pg_stat_activity AS
SELECT
    datid,
    datname,
    pid AS procpid,
    pid,
    usesysid,
    usename,
    query AS current_query,
    query_start,
    xact_start,
    backend_start,
    application_name,
    client_addr,
    client_port,
    state,
    query,
    wait_event_type,
    wait_event,
    backend_type
FROM pg_catalog.pg_stat_activity
WHERE usename IS DISTINCT FROM 'rdsdb' AND application_name <> 'local_redshift reports';

CREATE FUNCTION local_redshift.pg_get_viewdef(view oid, pretty boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT definition FROM local_redshift.late_binding_views AS late WHERE late.view = $1),
        replace(pg_catalog.pg_get_viewdef($1, true), 'local_redshift.', '')
    )
$$;

CREATE VIEW local_redshift.pg_views AS
SELECT nspname AS schemaname, relname AS viewname, pg_catalog.pg_get_userbyid(relowner) AS viewowner,
    local_redshift.pg_get_viewdef(pg_class.oid) AS definition
FROM local_redshift.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'v';

CREATE VIEW local_redshift.pg_tables AS
SELECT * FROM pg_catalog.pg_tables WHERE schemaname NOT LIKE 'local\\_redshift%';

-- https://docs.aws.amazon.com/redshift/latest/dg/PG_GET_LATE_BINDING_VIEW_COLS.html. `views` lists late-binding views and their translated queries.
-- Each view's columns are read from a temporary view of its query; a view whose query fails is skipped.
CREATE FUNCTION local_redshift.pg_get_late_binding_view_cols(views json) RETURNS SETOF record
LANGUAGE plpgsql AS $$
DECLARE
    schema_name name;
    view_name name;
    translated text;
    found json;
BEGIN
    FOR schema_name, view_name, translated IN
        SELECT told.schema, told.view, told.query
        FROM json_to_recordset(views) AS told (schema name, view name, query text)
    LOOP
        BEGIN
            EXECUTE 'CREATE TEMP VIEW "local_redshift described" AS ' || translated;
            SELECT json_agg(json_build_object('name', attname, 'type', local_redshift.format_type(atttypid, atttypmod)) ORDER BY attnum)
            INTO found
            FROM pg_catalog.pg_attribute
            WHERE attrelid = '"local_redshift described"'::regclass AND attnum > 0;
            RAISE EXCEPTION USING ERRCODE = 'LR000';
        EXCEPTION
            WHEN SQLSTATE 'LR000' THEN
                RETURN QUERY
                SELECT schema_name, view_name, (value ->> 'name')::name, (value ->> 'type')::varchar, ordinality::integer
                FROM json_array_elements(found) WITH ORDINALITY;
            WHEN OTHERS THEN
                NULL;
        END;
    END LOOP;
END $$;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_REDSHIFT_TABLES.html, r_SVV_ALL_TABLES.html and similar
CREATE VIEW local_redshift.svv_redshift_databases AS
SELECT
    datname::varchar(128) AS database_name, 1 AS database_owner, 'local'::varchar(32) AS database_type,
    NULL::varchar(128) AS database_acl, ''::varchar(128) AS database_options,
    'Snapshot Isolation'::varchar(128) AS database_isolation_level
FROM pg_catalog.pg_database
WHERE NOT datistemplate AND datname <> 'postgres';

CREATE VIEW local_redshift.svv_redshift_schemas AS
SELECT
    current_database()::varchar(128) AS database_name, nspname::varchar(128) AS schema_name,
    nspowner::integer AS schema_owner, 'local'::varchar(16) AS schema_type,
    array_to_string(nspacl, '~')::varchar(128) AS schema_acl, ''::varchar(128) AS schema_option
FROM local_redshift.pg_namespace
WHERE nspname NOT LIKE 'pg\\_t%';

CREATE VIEW local_redshift.svv_redshift_tables AS
SELECT
    current_database()::varchar(128) AS database_name, nspname::varchar(128) AS schema_name,
    relname::varchar(128) AS table_name,
    CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END::varchar(128) AS table_type,
    array_to_string(relacl, '~')::varchar(128) AS table_acl,
    obj_description(pg_class.oid, 'pg_class')::varchar(256) AS remarks,
    pg_catalog.pg_get_userbyid(relowner)::varchar(128) AS table_owner
FROM local_redshift.pg_class
JOIN local_redshift.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'v') AND nspname <> 'pg_toast';

CREATE VIEW local_redshift.svv_redshift_columns AS
SELECT
    current_database()::varchar(128) AS database_name, nspname::varchar(128) AS schema_name,
    relname::varchar(128) AS table_name, attname::varchar(128) AS column_name, attnum::integer AS ordinal_position,
    local_redshift.format_type(atttypid, atttypmod)::varchar(128) AS data_type,
    (SELECT adsrc FROM local_redshift.pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)::varchar(4000)
        AS column_default,
    CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END::varchar(3) AS is_nullable,
    local_redshift.format_encoding(attencodingtype)::varchar(128) AS encoding,
    attisdistkey AS distkey, attsortkeyord AS sortkey, NULL::varchar(128) AS column_acl,
    col_description(attrelid, attnum)::varchar(256) AS remarks
FROM local_redshift.pg_attribute
JOIN local_redshift.pg_class ON pg_class.oid = attrelid
JOIN local_redshift.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'v') AND nspname <> 'pg_toast' AND attnum > 0 AND NOT attisdropped;

CREATE VIEW local_redshift.svv_all_schemas AS
SELECT database_name, schema_name, schema_owner, schema_type, schema_acl, NULL::varchar(128) AS source_database,
    schema_option
FROM local_redshift.svv_redshift_schemas;

CREATE VIEW local_redshift.svv_all_tables AS
SELECT database_name, schema_name, table_name, table_acl, table_type, remarks FROM local_redshift.svv_redshift_tables;

CREATE VIEW local_redshift.svv_all_columns AS
SELECT
    database_name, schema_name, table_name, column_name, ordinal_position, column_default, is_nullable,
    regexp_replace(data_type, E'[(].*', '')::varchar(128) AS data_type,
    substring(data_type from E'character.*[(]([0-9]+)')::integer AS character_maximum_length,
    CASE data_type
        WHEN 'smallint' THEN 16 WHEN 'integer' THEN 32 WHEN 'bigint' THEN 64 WHEN 'real' THEN 24
        WHEN 'double precision' THEN 53 ELSE substring(data_type from E'numeric[(]([0-9]+)')::integer
    END AS numeric_precision,
    CASE
        WHEN data_type IN ('smallint', 'integer', 'bigint') THEN 0
        ELSE substring(data_type from E'numeric[(][0-9]+,([0-9]+)')::integer
    END AS numeric_scale,
    remarks
FROM local_redshift.svv_redshift_columns;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html
CREATE VIEW local_redshift.svv_show_tables AS
SELECT
    database_name, schema_name, table_name, table_type, table_acl, remarks, table_owner AS owner,
    NULL::timestamp AS last_altered_time, NULL::timestamp AS last_modified_time, NULL::varchar AS dist_style,
    CASE table_type WHEN 'VIEW' THEN 'VIEW' ELSE 'REGULAR' END::varchar AS table_subtype
FROM local_redshift.svv_redshift_tables;

CREATE FUNCTION local_redshift.current_schemas(implicit boolean) RETURNS name[] LANGUAGE sql STABLE AS $$
    SELECT array_remove(
        CASE WHEN implicit THEN pg_catalog.current_schemas(true) ELSE array_remove(pg_catalog.current_schemas(true), 'pg_catalog') END,
        'local_redshift'
    )
$$;

-- always empty: the stand-in has no external tables
CREATE VIEW local_redshift.svv_external_schemas AS
SELECT 0::oid AS esoid, 0::smallint AS eskind, ''::name AS schemaname, 0 AS esowner, ''::text AS databasename,
    ''::text AS esoptions
WHERE false;

CREATE VIEW local_redshift.svv_external_tables AS
SELECT ''::text AS redshift_database_name, ''::text AS schemaname, ''::text AS tablename, ''::text AS tabletype,
    ''::text AS location, ''::text AS input_format, ''::text AS output_format, ''::text AS serialization_lib,
    ''::text AS serde_parameters, 0 AS compressed, ''::text AS parameters
WHERE false;

CREATE VIEW local_redshift.svv_external_columns AS
SELECT ''::text AS redshift_database_name, ''::text AS schemaname, ''::text AS tablename, ''::text AS columnname,
    ''::text AS external_type, 0 AS columnnum, 0 AS part_key, ''::text AS is_nullable
WHERE false;

CREATE VIEW local_redshift.information_schema_tables AS
SELECT * FROM information_schema.tables WHERE table_schema NOT LIKE 'local\\_redshift%';

CREATE VIEW local_redshift.information_schema_columns AS
SELECT
    table_catalog, table_schema, table_name, column_name, ordinal_position,
    replace(column_default, 'local_redshift.', '') AS column_default,
    is_nullable,
    CASE data_type WHEN 'jsonb' THEN 'super' WHEN 'bytea' THEN 'binary varying' WHEN 'text' THEN 'character varying' ELSE data_type END AS data_type,
    CASE data_type WHEN 'text' THEN 65535 ELSE character_maximum_length END AS character_maximum_length,
    character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, interval_type,
    interval_precision, character_set_catalog, character_set_schema, character_set_name, collation_catalog,
    collation_schema, collation_name, domain_catalog, domain_schema, domain_name, udt_catalog, udt_schema, udt_name,
    scope_catalog, scope_schema, scope_name, maximum_cardinality, dtd_identifier, is_self_referencing
FROM information_schema.columns
WHERE table_schema NOT LIKE 'local\\_redshift%';

-- https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLES.html, r_SVV_COLUMNS.html
CREATE VIEW local_redshift.svv_tables AS
SELECT
    table_catalog::text,
    table_schema::text,
    table_name::text,
    table_type::text,
    ''::text AS remarks
FROM local_redshift.information_schema_tables;

CREATE VIEW local_redshift.svv_columns AS
SELECT
    table_catalog::text,
    table_schema::text,
    table_name::text,
    column_name::text,
    ordinal_position::integer,
    column_default::text,
    is_nullable::text,
    data_type::text,
    character_maximum_length::integer,
    numeric_precision::integer,
    numeric_precision_radix::integer,
    numeric_scale::integer,
    datetime_precision::integer,
    ''::text AS interval_type,
    ''::text AS interval_precision,
    ''::text AS character_set_catalog,
    ''::text AS character_set_schema,
    ''::text AS character_set_name,
    ''::text AS collation_catalog,
    ''::text AS collation_schema,
    ''::text AS collation_name,
    ''::text AS domain_name,
    ''::text AS remarks
FROM local_redshift.information_schema_columns;

CREATE VIEW local_redshift.information_schema_views AS
SELECT
    current_database() AS table_catalog, schemaname AS table_schema, viewname AS table_name, definition AS view_definition,
    'NONE' AS check_option, 'NO' AS is_updatable, 'NO' AS is_insertable_into
FROM local_redshift.pg_views;

CREATE VIEW local_redshift.information_schema_table_constraints AS
SELECT
    current_database() AS constraint_catalog, nspname AS constraint_schema, name::name AS constraint_name,
    current_database() AS table_catalog, nspname AS table_schema, relname AS table_name,
    CASE kind WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' ELSE 'FOREIGN KEY' END AS constraint_type,
    'NO' AS is_deferrable, 'NO' AS initially_deferred
FROM local_redshift.keys
JOIN pg_catalog.pg_class ON pg_class.oid = tbl
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace;

CREATE VIEW local_redshift.information_schema_referential_constraints AS
SELECT
    current_database() AS constraint_catalog, connamespace::regnamespace::name AS constraint_schema,
    conname AS constraint_name, current_database() AS unique_constraint_catalog,
    connamespace::regnamespace::name AS unique_constraint_schema,
    (
        SELECT name FROM local_redshift.keys WHERE tbl = confrelid AND columns = confkey AND kind IN ('p', 'u') LIMIT 1
    ) AS unique_constraint_name,
    'NONE' AS match_option, 'NO ACTION' AS update_rule, 'NO ACTION' AS delete_rule
FROM local_redshift.pg_constraint
WHERE contype = 'f';

CREATE VIEW local_redshift.information_schema_key_column_usage AS
SELECT
    current_database() AS constraint_catalog, nspname AS constraint_schema, name::name AS constraint_name,
    current_database() AS table_catalog, nspname AS table_schema, relname AS table_name, attname AS column_name,
    place::integer AS ordinal_position,
    CASE kind WHEN 'f' THEN place::integer END AS position_in_unique_constraint
FROM local_redshift.keys
CROSS JOIN unnest(columns) WITH ORDINALITY AS number (attnum, place)
JOIN pg_catalog.pg_class ON pg_class.oid = tbl
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_catalog.pg_attribute ON attrelid = tbl AND pg_attribute.attnum = number.attnum;

CREATE VIEW local_redshift.information_schema_constraint_column_usage AS
SELECT
    current_database() AS table_catalog, nspname AS table_schema, relname AS table_name, attname AS column_name,
    current_database() AS constraint_catalog, nspname AS constraint_schema, name::name AS constraint_name
FROM local_redshift.keys
CROSS JOIN unnest(coalesce(parent_columns, columns)) AS number (attnum)
JOIN pg_catalog.pg_class ON pg_class.oid = coalesce(parent, tbl)
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_catalog.pg_attribute ON attrelid = pg_class.oid AND pg_attribute.attnum = number.attnum;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_PG_TABLE_DEF.html: only tables in schemas on the search path
CREATE VIEW local_redshift.pg_table_def AS
SELECT
    nspname AS schemaname,
    relname AS tablename,
    attname AS "column",
    local_redshift.format_type(atttypid, atttypmod) AS type,
    local_redshift.format_encoding(attencodingtype)::char(32) AS encoding,
    attisdistkey AS distkey,
    attsortkeyord AS sortkey,
    attnotnull AS "notnull"
FROM local_redshift.user_tables
JOIN local_redshift.pg_attribute ON attrelid = user_tables.oid
WHERE attnum > 0 AND NOT attisdropped AND nspname = ANY (pg_catalog.current_schemas(false))
ORDER BY nspname, relname, attnum;

GRANT SELECT ON ALL TABLES IN SCHEMA local_redshift TO PUBLIC;
