-- Redshift's implicit conversions for which PostgreSQL requires a cast.
-- https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html, "Implicit conversion types"

-- Casts belong to a database, not to a schema, so an older version of this schema may already have created these.
DO $$
DECLARE
    source text;
BEGIN
    -- seen on clusters: text can be assigned to DECIMAL, but not to INTEGER or TIMESTAMP
    FOREACH source IN ARRAY '{text,varchar}'::text[] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_cast WHERE castsource = source::regtype AND casttarget = 'numeric'::regtype
        ) THEN
            EXECUTE pg_catalog.format('CREATE CAST (pg_catalog.%s AS pg_catalog.numeric) WITH INOUT AS ASSIGNMENT', source);
        END IF;
    END LOOP;
END $$;

-- Convert a VARBYTE to text by decoding its bytes as UTF-8; PostgreSQL's own conversion returns hexadecimal digits.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html; guess: INSERT converts VARBYTE to text, too
CREATE FUNCTION local_redshift.varbyte_text(value bytea) RETURNS text LANGUAGE sql IMMUTABLE
RETURN convert_from(value, 'UTF8');

DROP CAST IF EXISTS (bytea AS text);
DROP CAST IF EXISTS (bytea AS varchar);
DROP CAST IF EXISTS (bytea AS bpchar);
CREATE CAST (bytea AS text) WITH FUNCTION local_redshift.varbyte_text AS ASSIGNMENT;
CREATE CAST (bytea AS varchar) WITH FUNCTION local_redshift.varbyte_text AS ASSIGNMENT;
CREATE CAST (bytea AS bpchar) WITH FUNCTION local_redshift.varbyte_text AS ASSIGNMENT;

-- integers convert to BOOLEAN implicitly (guess)
UPDATE pg_cast SET castcontext = 'i' WHERE castsource = 'int4'::regtype AND casttarget = 'bool'::regtype;

-- Operators that compare or combine text with a number, date or timestamp convert the text. Published pipelines rely on
-- this for numbers; for dates and timestamps it is a guess.
DO $$
DECLARE
    other text;
    wanted text;
    operator text;
    result text;
    name text;
BEGIN
    FOREACH other IN ARRAY '{int2,int4,int8,numeric,float4,float8,date,timestamp,timestamptz}'::text[] LOOP
        wanted := CASE WHEN other LIKE 'int%' THEN 'numeric' WHEN other = 'float4' THEN 'float8' ELSE other END;
        FOREACH operator IN ARRAY '{=,<>,<,<=,>,>=,+,-,*,/,%}'::text[] LOOP
            CONTINUE WHEN operator = '%' AND wanted <> 'numeric';
            CONTINUE WHEN operator IN ('+', '-', '*', '/') AND wanted NOT IN ('numeric', 'float8');
            result := CASE WHEN operator IN ('+', '-', '*', '/', '%') THEN wanted ELSE 'boolean' END;
            name := 'operate_' || pg_catalog.md5(operator);
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION local_redshift.%1$s(a text, b %2$s) RETURNS %3$s LANGUAGE sql STABLE STRICT '
                'RETURN CAST(a AS %4$s) %5$s b::%4$s', name, other, result, wanted, operator);
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION local_redshift.%1$s(a %2$s, b text) RETURNS %3$s LANGUAGE sql STABLE STRICT '
                'RETURN a::%4$s %5$s CAST(b AS %4$s)', name, other, result, wanted, operator);
            EXECUTE pg_catalog.format(
                'CREATE OPERATOR local_redshift.%s (FUNCTION = local_redshift.%s, LEFTARG = text, RIGHTARG = %s)',
                operator, name, other);
            EXECUTE pg_catalog.format(
                'CREATE OPERATOR local_redshift.%s (FUNCTION = local_redshift.%s, LEFTARG = %s, RIGHTARG = text)',
                operator, name, other);
        END LOOP;
    END LOOP;
END $$;

-- a timestamp plus or minus a number of days, as in SYSDATE - 7 (seen in published queries of system tables)
CREATE FUNCTION local_redshift.days_later(moment timestamp, days integer) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN moment + days * interval '1 day';

CREATE FUNCTION local_redshift.days_earlier(moment timestamp, days integer) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN moment - days * interval '1 day';

CREATE OPERATOR local_redshift.+ (FUNCTION = local_redshift.days_later, LEFTARG = timestamp, RIGHTARG = integer);
CREATE OPERATOR local_redshift.- (FUNCTION = local_redshift.days_earlier, LEFTARG = timestamp, RIGHTARG = integer);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_concat_op.html; + also joins strings
CREATE FUNCTION local_redshift.joined(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.textcat(a, b);

CREATE OPERATOR local_redshift.+ (FUNCTION = local_redshift.joined, LEFTARG = text, RIGHTARG = text);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html: a cast truncates; lengths are in bytes
CREATE FUNCTION local_redshift.first_bytes(value text, n integer) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    taken text := pg_catalog.left(value, n);
BEGIN
    WHILE octet_length(taken) > n LOOP
        taken := pg_catalog.left(taken, -1);
    END LOOP;
    RETURN taken;
END $$;

CREATE FUNCTION local_redshift.cut(value text, n integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN octet_length(value) <= n THEN value ELSE local_redshift.first_bytes(value, n) END;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_TRY_CAST.html
CREATE FUNCTION local_redshift.is_castable(value text, type text) RETURNS boolean LANGUAGE sql STABLE
RETURN pg_input_is_valid(value, type);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html, varbyte-functions.html: strings become UTF-8 bytes
CREATE FUNCTION local_redshift.varbyte(value text) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN convert_to(value, 'UTF8');

CREATE FUNCTION local_redshift.varbyte(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN value;

-- a CHAR keeps its padding blanks; integers are encoded big-endian
CREATE FUNCTION local_redshift.varbyte(value bpchar) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN bpcharsend(value);

CREATE FUNCTION local_redshift.varbyte(value smallint) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN int2send(value);

CREATE FUNCTION local_redshift.varbyte(value integer) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN int4send(value);

CREATE FUNCTION local_redshift.varbyte(value bigint) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN int8send(value);

-- an odd number of digits gets a leading zero
CREATE FUNCTION local_redshift.from_hex(value text) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN decode(CASE WHEN length(value) % 2 = 1 THEN '0' || value ELSE value END, 'hex');

CREATE FUNCTION local_redshift.check_format(format text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF lower(format) NOT IN ('hex', 'base64', 'binary', 'utf8', 'utf-8') THEN
        RAISE EXCEPTION 'the format % is not hex, base64, binary or utf-8', format;
    END IF;
END $$;

CREATE FUNCTION local_redshift.to_varbyte(value text, format text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    bits text := lpad(value, (length(value) + 7) / 8 * 8, '0');
BEGIN
    PERFORM local_redshift.check_format(format);
    RETURN CASE lower(format)
        WHEN 'hex' THEN local_redshift.from_hex(value)
        WHEN 'base64' THEN decode(value, 'base64')
        WHEN 'binary' THEN decode((
            SELECT string_agg(pg_catalog.lpad(pg_catalog.to_hex(substr(bits, at, 8)::bit(8)::integer), 2, '0'), '' ORDER BY at)
            FROM generate_series(1, length(bits), 8) AS at
        ), 'hex')
        ELSE convert_to(value, 'UTF8')
    END;
END $$;

CREATE FUNCTION local_redshift.from_varbyte(value bytea, format text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    PERFORM local_redshift.check_format(format);
    RETURN CASE lower(format)
        WHEN 'hex' THEN encode(value, 'hex')
        WHEN 'base64' THEN encode(value, 'base64')
        WHEN 'binary' THEN (
            SELECT string_agg(get_byte(value, at)::bit(8)::text, '' ORDER BY at)
            FROM generate_series(0, length(value) - 1) AS at
        )
        ELSE convert_from(value, 'UTF8')
    END;
END $$;

CREATE FUNCTION local_redshift.to_hex(value bytea) RETURNS text LANGUAGE sql IMMUTABLE
RETURN encode(value, 'hex');

CREATE FUNCTION local_redshift.to_hex(value bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.to_hex(value);

CREATE FUNCTION local_redshift.to_hex(value integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.to_hex(value);
