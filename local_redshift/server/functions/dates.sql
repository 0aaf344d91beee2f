-- https://docs.aws.amazon.com/redshift/latest/dg/Date_functions_header.html
-- Date parts arrive as full singular names; abbreviations and plurals have already been replaced.

-- https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html, r_SYSDATE.html
CREATE FUNCTION local_redshift.getdate() RETURNS timestamp LANGUAGE sql STABLE
RETURN pg_catalog.date_trunc('second', statement_timestamp()::timestamp);

CREATE FUNCTION local_redshift.sysdate() RETURNS timestamp LANGUAGE sql STABLE
RETURN transaction_timestamp()::timestamp;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNC_date.html
CREATE FUNCTION local_redshift.trunc(value timestamp) RETURNS date LANGUAGE sql IMMUTABLE
RETURN value::date;

CREATE FUNCTION local_redshift.trunc(value timestamptz) RETURNS date LANGUAGE sql STABLE
RETURN value::date;

CREATE FUNCTION local_redshift.trunc(value date) RETURNS date LANGUAGE sql IMMUTABLE
RETURN value;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATEADD_function.html
CREATE FUNCTION local_redshift.step(part text, amount bigint) RETURNS interval LANGUAGE sql IMMUTABLE
RETURN amount * CASE WHEN part = 'quarter' THEN interval '3 months' ELSE ('1 ' || part)::interval END;

-- 29 February plus a number of years is 1 March in a non-leap year
CREATE FUNCTION local_redshift.dateadd(part text, amount bigint, value timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE
RETURN value + local_redshift.step(part, amount) + CASE
    WHEN part IN ('year', 'decade', 'century', 'millennium')
        AND pg_catalog.date_part('day', value) = 29
        AND pg_catalog.date_part('month', value) = 2
        AND pg_catalog.date_part('day', value + local_redshift.step(part, amount)) = 28
    THEN interval '1 day' ELSE interval '0' END;

CREATE FUNCTION local_redshift.dateadd(part text, amount bigint, value date) RETURNS timestamp
LANGUAGE sql IMMUTABLE
RETURN local_redshift.dateadd(part, amount, value::timestamp);

CREATE FUNCTION local_redshift.dateadd(part text, amount bigint, value text) RETURNS timestamp
LANGUAGE sql STABLE
RETURN local_redshift.dateadd(part, amount, value::timestamp);

CREATE FUNCTION local_redshift.dateadd(part text, amount bigint, value timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN local_redshift.dateadd(part, amount, value AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';

CREATE FUNCTION local_redshift.dateadd(part text, amount bigint, value time) RETURNS time
LANGUAGE sql IMMUTABLE
RETURN value + local_redshift.step(part, amount);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATEDIFF_function.html: counts date part boundaries
CREATE FUNCTION local_redshift.datediff(part text, earlier timestamp, later timestamp) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN CASE part
    WHEN 'millennium' THEN floor((extract(year FROM later)) / 1000) - floor((extract(year FROM earlier)) / 1000)
    WHEN 'century' THEN floor((extract(year FROM later)) / 100) - floor((extract(year FROM earlier)) / 100)
    WHEN 'decade' THEN floor((extract(year FROM later)) / 10) - floor((extract(year FROM earlier)) / 10)
    WHEN 'year' THEN extract(year FROM later) - extract(year FROM earlier)
    WHEN 'quarter' THEN 4 * (extract(year FROM later) - extract(year FROM earlier))
                        + extract(quarter FROM later) - extract(quarter FROM earlier)
    WHEN 'month' THEN 12 * (extract(year FROM later) - extract(year FROM earlier))
                      + extract(month FROM later) - extract(month FROM earlier)
    ELSE (extract(epoch FROM pg_catalog.date_trunc(part, later)) - extract(epoch FROM pg_catalog.date_trunc(part, earlier)))
         / extract(epoch FROM ('1 ' || part)::interval)
END::bigint;

CREATE FUNCTION local_redshift.datediff(part text, earlier date, later date) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN local_redshift.datediff(part, earlier::timestamp, later::timestamp);

CREATE FUNCTION local_redshift.datediff(part text, earlier timestamptz, later timestamptz) RETURNS bigint
LANGUAGE sql STABLE
RETURN local_redshift.datediff(part, earlier AT TIME ZONE 'UTC', later AT TIME ZONE 'UTC');

CREATE FUNCTION local_redshift.datediff(part text, earlier text, later text) RETURNS bigint
LANGUAGE sql STABLE
RETURN local_redshift.datediff(part, earlier::timestamp, later::timestamp);

CREATE FUNCTION local_redshift.datediff(part text, earlier time, later time) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN local_redshift.datediff(part, date '2000-01-01' + earlier, date '2000-01-01' + later);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATE_TRUNC.html: returns a TIMESTAMP, even for a DATE
CREATE FUNCTION local_redshift.date_trunc(part text, value timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN pg_catalog.date_trunc(part, value);

CREATE FUNCTION local_redshift.date_trunc(part text, value date) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN pg_catalog.date_trunc(part, value::timestamp);

CREATE FUNCTION local_redshift.date_trunc(part text, value text) RETURNS timestamp LANGUAGE sql STABLE
RETURN pg_catalog.date_trunc(part, value::timestamp);

CREATE FUNCTION local_redshift.date_trunc(part text, value timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
RETURN pg_catalog.date_trunc(part, value);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATE_PART_function.html
CREATE FUNCTION local_redshift.date_part(part text, value text) RETURNS double precision LANGUAGE sql STABLE
RETURN pg_catalog.date_part(part, value::timestamp);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_CONVERT_TIMEZONE.html
CREATE FUNCTION local_redshift.convert_timezone(zone text, value timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN value AT TIME ZONE 'UTC' AT TIME ZONE zone;

CREATE FUNCTION local_redshift.convert_timezone(from_zone text, to_zone text, value timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE
RETURN value AT TIME ZONE from_zone AT TIME ZONE to_zone;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_LAST_DAY.html
CREATE FUNCTION local_redshift.last_day(value timestamp) RETURNS date LANGUAGE sql IMMUTABLE
RETURN (pg_catalog.date_trunc('month', value) + interval '1 month - 1 day')::date;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_ADD_MONTHS.html: the last day of a month stays the last day
CREATE FUNCTION local_redshift.add_months(value timestamp, months integer) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN value::date = local_redshift.last_day(value)
    THEN local_redshift.last_day(value + months * interval '1 month') + value::time
    ELSE value + months * interval '1 month'
END;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_MONTHS_BETWEEN_function.html: fractions assume 31-day months
CREATE FUNCTION local_redshift.months_between(a timestamp, b timestamp) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN 12 * (pg_catalog.date_part('year', a) - pg_catalog.date_part('year', b))
    + pg_catalog.date_part('month', a) - pg_catalog.date_part('month', b)
    + CASE
        WHEN pg_catalog.date_part('day', a) = pg_catalog.date_part('day', b)
            OR (a::date = local_redshift.last_day(a) AND b::date = local_redshift.last_day(b)) THEN 0
        ELSE (pg_catalog.date_part('day', a) - pg_catalog.date_part('day', b)) / 31
            + (pg_catalog.date_part('epoch', a::time) - pg_catalog.date_part('epoch', b::time)) / 31 / 86400
    END;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_NEXT_DAY.html
CREATE FUNCTION local_redshift.next_day(value timestamp, day text) RETURNS date LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    wanted integer := array_position(
        '{su,mo,tu,we,th,fr,sa}'::text[],
        pg_catalog.left(CASE lower(day) WHEN 'm' THEN 'mo' WHEN 'w' THEN 'we' WHEN 'f' THEN 'fr' ELSE lower(day) END, 2)
    ) - 1;
BEGIN
    IF wanted IS NULL OR NOT lower(day) = ANY (
        '{su,sun,sunday,m,mo,mon,monday,tu,tue,tues,tuesday,w,we,wed,wednesday,th,thu,thurs,thursday,f,fr,fri,friday,sa,sat,saturday}'
    ) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'Day of week string value "' || day || '" is invalid';
    END IF;
    RETURN value::date + 1 + (wanted - extract(dow FROM value::date + 1)::integer + 7) % 7;
END $$;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATE_PART_YEAR.html
CREATE FUNCTION local_redshift.date_part_year(value date) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN extract(year FROM value)::integer;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DATE_CMP.html and similar
DO $$
DECLARE
    signature text[];
BEGIN
    FOREACH signature SLICE 1 IN ARRAY '{
        {date_cmp, date, date},
        {date_cmp_timestamp, date, timestamp},
        {date_cmp_timestamptz, date, timestamptz},
        {timestamp_cmp, timestamp, timestamp},
        {timestamp_cmp_date, timestamp, date},
        {timestamp_cmp_timestamptz, timestamp, timestamptz},
        {timestamptz_cmp, timestamptz, timestamptz},
        {timestamptz_cmp_date, timestamptz, date},
        {timestamptz_cmp_timestamp, timestamptz, timestamp},
        {interval_cmp, interval, interval}
    }'::text[] LOOP
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION local_redshift.%s(a %s, b %s) RETURNS integer LANGUAGE sql STABLE '
            'RETURN (a > b)::integer - (a < b)::integer', signature[1], signature[2], signature[3]);
    END LOOP;
END $$;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_TO_TIMESTAMP.html, r_TO_DATE_function.html: 30 February is 2 March
-- unless is_strict is true. Separators may differ or be missing, and trailing text is ignored: a cluster parsed
-- 1542837407796 with 'YYYYMMDD HHMISS' (seen in 319 rows of a notebook).
CREATE FUNCTION local_redshift.lenient(value text, format text) RETURNS timestamp LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    names text[] := ARRAY(
        SELECT part[1] FROM pg_catalog.regexp_matches(upper(format), 'YYYY|MM|DD|HH24|HH12|HH|MI|SS', 'g') AS part
    );
    pattern text := pg_catalog.regexp_replace(
        pg_catalog.regexp_replace(
            pg_catalog.regexp_replace(upper(format), 'HH24|HH12|MM|DD|HH|MI|SS', '#', 'g'), 'YYYY', '@', 'g'
        ),
        '[^#@]', '[^0-9]?', 'g'
    );
    numbers text[] := pg_catalog.regexp_match(
        value, '^' || replace(replace(pattern, '#', E'(\\d{1,2})?'), '@', E'(\\d{4})')
    );
    number integer;
    result timestamp := '0001-01-01';
BEGIN
    IF numbers IS NULL OR cardinality(names) = 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22007', MESSAGE = 'invalid value "' || value || '" for "' || format || '"';
    END IF;
    -- add years before months and months before days, whatever their order in the format
    FOREACH pattern IN ARRAY '{YYYY,MM,DD,HH24,HH12,HH,MI,SS}'::text[] LOOP
        number := numbers[array_position(names, pattern)]::integer;
        CONTINUE WHEN number IS NULL;
        result := result + CASE pattern
            WHEN 'YYYY' THEN (number - 1) * interval '1 year'
            WHEN 'MM' THEN (number - 1) * interval '1 month'
            WHEN 'DD' THEN (number - 1) * interval '1 day'
            WHEN 'MI' THEN number * interval '1 minute'
            WHEN 'SS' THEN number * interval '1 second'
            ELSE number * interval '1 hour'
        END;
    END LOOP;
    RETURN result;
END $$;

CREATE FUNCTION local_redshift.to_timestamp(value text, format text, is_strict boolean DEFAULT false)
RETURNS timestamptz LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN pg_catalog.to_timestamp(value, format);
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    IF is_strict THEN
        RAISE;
    END IF;
    RETURN local_redshift.lenient(value, format) AT TIME ZONE 'UTC';
END $$;

CREATE FUNCTION local_redshift.to_date(value text, format text, is_strict boolean DEFAULT false)
RETURNS date LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN pg_catalog.to_date(value, format);
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    IF is_strict THEN
        RAISE;
    END IF;
    RETURN local_redshift.lenient(value, format)::date;
END $$;
