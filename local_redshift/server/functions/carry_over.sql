-- Copy the data of older catalog versions; drop their schemas unless user objects depend on them. Convert table and
-- column names with capitals, which older versions preserved, to lower case: otherwise statements can't refer to them.
DO $$
DECLARE
    older text;
    noted text;
    shared text;
    kind text;
    schema_name text;
    table_name text;
    column_name text;
BEGIN
    FOR older IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname LIKE 'local\_redshift\_older%' LOOP
        FOREACH noted IN ARRAY '{keys,table_attributes,column_attributes,load_errors,load_commits,copies}'::text[] LOOP
            CONTINUE WHEN to_regclass(older || '.' || noted) IS NULL;
            SELECT string_agg(attname, ', ') INTO shared
            FROM pg_catalog.pg_attribute
            WHERE attrelid = to_regclass(older || '.' || noted) AND attnum > 0 AND NOT attisdropped
                AND attname IN (
                    SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('local_redshift.' || noted) AND attnum > 0
                );
            EXECUTE pg_catalog.format(
                'INSERT INTO local_redshift.%1$s (%2$s) SELECT %2$s FROM %3$s.%1$s ON CONFLICT DO NOTHING',
                noted, shared, older
            );
        END LOOP;
        IF to_regclass(older || '.late_binding_views') IS NOT NULL THEN
            IF EXISTS (
                SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = to_regclass(older || '.late_binding_views') AND attname = 'schema_name'
            ) THEN
                FOR schema_name, table_name IN EXECUTE
                    pg_catalog.format('SELECT schema_name, view_name FROM %s.late_binding_views', older)
                LOOP
                    EXECUTE pg_catalog.format('CREATE VIEW %I.%I AS SELECT', schema_name, table_name);
                    EXECUTE pg_catalog.format(
                        'INSERT INTO local_redshift.late_binding_views '
                        'SELECT to_regclass(%L), query, query FROM %s.late_binding_views WHERE schema_name = %L AND view_name = %L',
                        pg_catalog.format('%I.%I', schema_name, table_name), older, schema_name, table_name
                    );
                END LOOP;
            ELSE
                EXECUTE pg_catalog.format(
                    'INSERT INTO local_redshift.late_binding_views SELECT * FROM %s.late_binding_views', older
                );
            END IF;
        END IF;
        IF to_regclass(older || '.key_ids') IS NOT NULL THEN
            EXECUTE pg_catalog.format('SELECT setval(''local_redshift.key_ids'', last_value) FROM %s.key_ids', older);
        END IF;
        IF to_regclass(older || '.query_ids') IS NOT NULL THEN
            EXECUTE pg_catalog.format(
                'SELECT setval(''local_redshift.query_ids'', greatest(last_value, 1)) FROM %s.query_ids', older
            );
        END IF;
        CONTINUE WHEN EXISTS (
            SELECT
            FROM pg_depend
            LEFT JOIN pg_proc ON refclassid = 'pg_proc'::regclass AND pg_proc.oid = refobjid
            LEFT JOIN pg_operator ON refclassid = 'pg_operator'::regclass AND pg_operator.oid = refobjid
            LEFT JOIN pg_catalog.pg_class AS used ON refclassid = 'pg_class'::regclass AND used.oid = refobjid
            LEFT JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND pg_rewrite.oid = objid
            LEFT JOIN pg_attrdef ON classid = 'pg_attrdef'::regclass AND pg_attrdef.oid = objid
            LEFT JOIN pg_constraint ON classid = 'pg_constraint'::regclass AND pg_constraint.oid = objid
            JOIN pg_catalog.pg_class ON pg_class.oid = coalesce(ev_class, adrelid, conrelid)
            WHERE coalesce(pronamespace, oprnamespace, used.relnamespace) = to_regnamespace(older)
                AND pg_class.relnamespace <> to_regnamespace(older)
        );
        EXECUTE pg_catalog.format('DROP SCHEMA %I CASCADE', older);
    END LOOP;
    FOR schema_name, table_name, kind IN
        SELECT nspname, relname, CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END
        FROM pg_catalog.pg_class
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'v') AND nspname NOT LIKE 'pg\_%' AND nspname NOT LIKE 'local\_redshift%'
            AND nspname <> 'information_schema'
    LOOP
        FOR column_name IN
            SELECT attname FROM pg_catalog.pg_attribute
            WHERE attrelid = to_regclass(pg_catalog.format('%I.%I', schema_name, table_name)) AND attnum > 0
                AND NOT attisdropped AND attname <> lower(attname)
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS same WHERE same.attrelid = pg_attribute.attrelid
                        AND same.attname = lower(pg_attribute.attname)
                )
        LOOP
            EXECUTE pg_catalog.format(
                'ALTER %s %I.%I RENAME COLUMN %I TO %I', kind, schema_name, table_name, column_name, lower(column_name)
            );
        END LOOP;
        IF table_name <> lower(table_name) AND to_regclass(schema_name || '.' || lower(table_name)) IS NULL THEN
            EXECUTE pg_catalog.format(
                'ALTER %s %I.%I RENAME TO %I', kind, schema_name, table_name, lower(table_name)
            );
        END IF;
    END LOOP;
END $$;
