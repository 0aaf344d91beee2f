-- https://docs.aws.amazon.com/redshift/latest/dg/String_functions_header.html

CREATE FUNCTION local_redshift.len(value text) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN char_length(value);

CREATE FUNCTION local_redshift.len(value bytea) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN octet_length(value);

CREATE FUNCTION local_redshift.charindex(part text, value text) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN strpos(value, part);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_CONCAT.html: NULL if either argument is NULL
CREATE FUNCTION local_redshift.concat(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.textcat(a, b);

CREATE FUNCTION local_redshift.concat(a bytea, b bytea) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN a OPERATOR(pg_catalog.||) b;

-- https://docs.aws.amazon.com/redshift/latest/dg/REGEXP_REPLACE.html: replaces all matches; $1 is the first group
CREATE FUNCTION local_redshift.regexp_replace(
    value text, pattern text, replacement text DEFAULT '', start integer DEFAULT 1, flags text DEFAULT 'c'
) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.regexp_replace(
    value, pattern, pg_catalog.regexp_replace(replacement, E'\\$(\\d)', E'\\\\\\1', 'g'), start, 0, translate(flags, 'pe', '')
);

-- https://docs.aws.amazon.com/redshift/latest/dg/REGEXP_SUBSTR.html: returns '' if nothing matches; with flag e, the
-- first group
CREATE FUNCTION local_redshift.regexp_substr(
    value text, pattern text, start integer DEFAULT 1, occurrence integer DEFAULT 1, flags text DEFAULT 'c'
) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN value IS NOT NULL THEN coalesce(
    pg_catalog.regexp_substr(
        value, pattern, start, occurrence, translate(flags, 'pe', ''), (strpos(flags, 'e') > 0)::integer
    ), ''
) END;

-- https://docs.aws.amazon.com/redshift/latest/dg/REGEXP_COUNT.html, REGEXP_INSTR.html
CREATE FUNCTION local_redshift.regexp_count(value text, pattern text, start integer DEFAULT 1, flags text DEFAULT 'c')
RETURNS integer LANGUAGE sql IMMUTABLE
RETURN pg_catalog.regexp_count(value, pattern, start, translate(flags, 'p', ''));

CREATE FUNCTION local_redshift.regexp_instr(
    value text,
    pattern text,
    start integer DEFAULT 1,
    occurrence integer DEFAULT 1,
    after integer DEFAULT 0,
    flags text DEFAULT 'c'
) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN pg_catalog.regexp_instr(
    value, pattern, start, occurrence, after, translate(flags, 'pe', ''), (strpos(flags, 'e') > 0)::integer
);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_STRTOL.html
CREATE FUNCTION local_redshift.strtol(digits text, base integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    body text := lower(pg_catalog.regexp_replace(digits, '^[-+]?(0[xX])?', ''));
    result bigint := 0;
    digit integer;
BEGIN
    IF base NOT BETWEEN 2 AND 36 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid base ' || base || ' for strtol';
    END IF;
    FOR i IN 1 .. char_length(body) LOOP
        digit := strpos('0123456789abcdefghijklmnopqrstuvwxyz', pg_catalog.substr(body, i, 1)) - 1;
        IF digit NOT BETWEEN 0 AND base - 1 THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023', MESSAGE = 'The input ' || digits || ' is not valid to be converted to base ' || base;
        END IF;
        result := result * base + digit;
    END LOOP;
    RETURN CASE WHEN pg_catalog.left(digits, 1) = '-' THEN -result ELSE result END;
END $$;
