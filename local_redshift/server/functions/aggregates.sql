-- https://docs.aws.amazon.com/redshift/latest/dg/c_Aggregate_Functions.html

-- https://docs.aws.amazon.com/redshift/latest/dg/r_AVG.html: AVG of integers is a BIGINT
CREATE FUNCTION local_redshift.whole_average(state bigint[]) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN state[1] > 0 THEN state[2] / state[1] END;

CREATE AGGREGATE local_redshift.avg(smallint) (
    SFUNC = int2_avg_accum, STYPE = bigint[], FINALFUNC = local_redshift.whole_average,
    COMBINEFUNC = int4_avg_combine, INITCOND = '{0,0}', PARALLEL = SAFE
);

CREATE AGGREGATE local_redshift.avg(integer) (
    SFUNC = int4_avg_accum, STYPE = bigint[], FINALFUNC = local_redshift.whole_average,
    COMBINEFUNC = int4_avg_combine, INITCOND = '{0,0}', PARALLEL = SAFE
);

CREATE FUNCTION local_redshift.add_bigint(state numeric[], value bigint) RETURNS numeric[] LANGUAGE sql IMMUTABLE
RETURN CASE WHEN value IS NULL THEN state ELSE ARRAY[state[1] + 1, state[2] + value] END;

CREATE FUNCTION local_redshift.whole_average(state numeric[]) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN state[1] > 0 THEN pg_catalog.trunc(state[2] / state[1])::bigint END;

CREATE AGGREGATE local_redshift.avg(bigint) (
    SFUNC = local_redshift.add_bigint, STYPE = numeric[], FINALFUNC = local_redshift.whole_average, INITCOND = '{0,0}'
);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_SUM.html: the SUM of a BIGINT is a BIGINT (in PostgreSQL, a NUMERIC)
CREATE AGGREGATE local_redshift.sum(bigint) (
    SFUNC = int8pl, STYPE = bigint, COMBINEFUNC = int8pl, PARALLEL = SAFE,
    MSFUNC = int8pl, MINVFUNC = int8mi, MSTYPE = bigint
);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_MEDIAN.html, r_WF_PERCENTILE_CONT.html: PostgreSQL has no MEDIAN, and does not allow OVER with percentiles.
-- The aggregate's state is an array: the requested percentile, followed by the values.
CREATE FUNCTION local_redshift.collect(state numeric[], value numeric, fraction double precision) RETURNS numeric[]
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN value IS NULL THEN state
    WHEN state IS NULL THEN ARRAY[fraction::numeric, value]
    ELSE array_append(state, value)
END;

CREATE FUNCTION local_redshift.continuous(state numeric[]) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    sorted numeric[] := ARRAY(SELECT v FROM unnest(state[2:]) AS v ORDER BY v);
    place numeric := state[1] * (cardinality(sorted) - 1) + 1;
    low numeric := sorted[floor(place)::integer];
BEGIN
    RETURN low + (sorted[ceil(place)::integer] - low) * (place - floor(place));
END $$;

CREATE FUNCTION local_redshift.discrete(state numeric[]) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    sorted numeric[] := ARRAY(SELECT v FROM unnest(state[2:]) AS v ORDER BY v);
BEGIN
    RETURN sorted[greatest(1, ceil(state[1] * cardinality(sorted))::integer)];
END $$;

CREATE AGGREGATE local_redshift.percentile_cont_window(numeric, double precision) (
    SFUNC = local_redshift.collect, STYPE = numeric[], FINALFUNC = local_redshift.continuous
);

CREATE AGGREGATE local_redshift.percentile_disc_window(numeric, double precision) (
    SFUNC = local_redshift.collect, STYPE = numeric[], FINALFUNC = local_redshift.discrete
);

CREATE FUNCTION local_redshift.collect_for_median(state numeric[], value numeric) RETURNS numeric[]
LANGUAGE sql IMMUTABLE
RETURN local_redshift.collect(state, value, 0.5);

CREATE FUNCTION local_redshift.collect_for_median(state numeric[], value double precision) RETURNS numeric[]
LANGUAGE sql IMMUTABLE
RETURN local_redshift.collect(state, value::numeric, 0.5);

CREATE FUNCTION local_redshift.collect_for_median(state numeric[], value timestamp) RETURNS numeric[]
LANGUAGE sql IMMUTABLE
RETURN local_redshift.collect(state, extract(epoch FROM value), 0.5);

CREATE FUNCTION local_redshift.continuous_double(state numeric[]) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN local_redshift.continuous(state)::double precision;

CREATE FUNCTION local_redshift.continuous_moment(state numeric[]) RETURNS timestamp LANGUAGE sql IMMUTABLE
RETURN timestamp 'epoch' + local_redshift.continuous(state)::double precision * interval '1 second';

CREATE AGGREGATE local_redshift.median(numeric) (
    SFUNC = local_redshift.collect_for_median, STYPE = numeric[], FINALFUNC = local_redshift.continuous
);

CREATE AGGREGATE local_redshift.median(double precision) (
    SFUNC = local_redshift.collect_for_median, STYPE = numeric[], FINALFUNC = local_redshift.continuous_double
);

CREATE AGGREGATE local_redshift.median(timestamp) (
    SFUNC = local_redshift.collect_for_median, STYPE = numeric[], FINALFUNC = local_redshift.continuous_moment
);

-- https://docs.aws.amazon.com/redshift/latest/dg/r_WF_FIRST_VALUE.html: IGNORE NULLS
CREATE FUNCTION local_redshift.earlier(a anyelement, b anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT
AS 'SELECT $1';

CREATE FUNCTION local_redshift.later(a anyelement, b anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT
AS 'SELECT $2';

CREATE AGGREGATE local_redshift.first_not_null(anyelement) (SFUNC = local_redshift.earlier, STYPE = anyelement);

CREATE AGGREGATE local_redshift.last_not_null(anyelement) (SFUNC = local_redshift.later, STYPE = anyelement);
