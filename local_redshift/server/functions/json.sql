-- https://docs.aws.amazon.com/redshift/latest/dg/json-functions.html: JSON functions for VARCHAR and SUPER values

-- https://docs.aws.amazon.com/redshift/latest/dg/IS_VALID_JSON.html, IS_VALID_JSON_ARRAY.html
CREATE FUNCTION local_redshift.is_json(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN pg_input_is_valid(value, 'json');

CREATE FUNCTION local_redshift.is_valid_json(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE WHEN local_redshift.is_json(value) THEN json_typeof(value::json) IN ('object', 'array') ELSE value IS NULL AND NULL END;

CREATE FUNCTION local_redshift.is_valid_json_array(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE WHEN local_redshift.is_json(value) THEN json_typeof(value::json) = 'array' ELSE value IS NULL AND NULL END;

CREATE FUNCTION local_redshift.can_json_parse(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN local_redshift.is_json(value);

CREATE FUNCTION local_redshift.checked_json(value text, null_if_invalid boolean) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF local_redshift.is_json(value) THEN
        RETURN value::json;
    ELSIF null_if_invalid THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'JSON parsing error',
        DETAIL = E'\n  -----------------------------------------------\n  error:  JSON parsing error\n  code:      8001\n'
            || '  context:   error: invalid json object ' || value
            || E'\n  -----------------------------------------------\n';
END $$;

-- https://docs.aws.amazon.com/redshift/latest/dg/JSON_EXTRACT_PATH_TEXT.html
CREATE FUNCTION local_redshift.json_extract_path_text(value text, path text[], null_if_invalid boolean) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN local_redshift.checked_json(value, null_if_invalid) #>> path;

-- https://docs.aws.amazon.com/redshift/latest/dg/JSON_ARRAY_LENGTH.html
CREATE FUNCTION local_redshift.json_array_length(value text, null_if_invalid boolean DEFAULT false) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.json_array_length(local_redshift.checked_json(value, null_if_invalid));

-- https://docs.aws.amazon.com/redshift/latest/dg/JSON_EXTRACT_ARRAY_ELEMENT_TEXT.html: 0-based index; NULL if out of range
CREATE FUNCTION local_redshift.json_extract_array_element_text(
    value text, place integer, null_if_invalid boolean DEFAULT false
) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN place >= 0 THEN local_redshift.checked_json(value, null_if_invalid) ->> place END;

-- https://docs.aws.amazon.com/redshift/latest/dg/JSON_PARSE.html, JSON_SERIALIZE.html, r_json_typeof.html
CREATE FUNCTION local_redshift.json_parse(value text) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN local_redshift.checked_json(value, false)::jsonb;

CREATE FUNCTION local_redshift.json_serialize(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE
RETURN value::text;

CREATE FUNCTION local_redshift.json_typeof(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value);

CREATE FUNCTION local_redshift.get_array_length(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN jsonb_typeof(value) = 'array' THEN jsonb_array_length(value) END;

-- https://docs.aws.amazon.com/redshift/latest/dg/c_Type_Info_Functions.html: test a SUPER value's type. A whole number
-- passes the test for every integer type that can hold it.
CREATE FUNCTION local_redshift.is_array(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'array';

CREATE FUNCTION local_redshift.is_object(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'object';

CREATE FUNCTION local_redshift.is_scalar(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) NOT IN ('array', 'object');

CREATE FUNCTION local_redshift.is_boolean(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'boolean';

CREATE FUNCTION local_redshift.is_varchar(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'string';

CREATE FUNCTION local_redshift.is_char(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'string';

CREATE FUNCTION local_redshift.is_whole(value jsonb, low numeric, high numeric) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN jsonb_typeof(value) = 'number' THEN value::text !~ E'[.eE]' AND value::numeric BETWEEN low AND high
    ELSE value IS NULL AND NULL
END;

CREATE FUNCTION local_redshift.is_smallint(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN local_redshift.is_whole(value, -32768, 32767);

CREATE FUNCTION local_redshift.is_integer(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN local_redshift.is_whole(value, -2147483648, 2147483647);

CREATE FUNCTION local_redshift.is_bigint(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN local_redshift.is_whole(value, -9223372036854775808, 9223372036854775807);

CREATE FUNCTION local_redshift.is_float(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'number' AND value::text ~ E'[.eE]';

CREATE FUNCTION local_redshift.is_decimal(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN jsonb_typeof(value) = 'number';

CREATE FUNCTION local_redshift.decimal_precision(value jsonb) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN length(regexp_replace(value::text, '[^0-9]', '', 'g')) END;

CREATE FUNCTION local_redshift.decimal_scale(value jsonb) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN scale(value::numeric) END;
