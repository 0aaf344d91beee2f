-- https://docs.aws.amazon.com/redshift/latest/dg/Math_functions.html

CREATE FUNCTION local_redshift.round(value double precision, places integer) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.round(value::numeric, places)::double precision;

CREATE FUNCTION local_redshift.trunc(value double precision, places integer) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN pg_catalog.trunc(value::numeric, places)::double precision;

-- https://docs.aws.amazon.com/redshift/latest/dg/r_DEXP.html, r_DLOG1.html, r_DLOG10.html
CREATE FUNCTION local_redshift.dexp(value double precision) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN pg_catalog.exp(value);

CREATE FUNCTION local_redshift.dlog1(value double precision) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN pg_catalog.ln(value);

CREATE FUNCTION local_redshift.dlog10(value double precision) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN pg_catalog.log(value);
