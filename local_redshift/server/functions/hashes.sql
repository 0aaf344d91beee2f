-- https://docs.aws.amazon.com/redshift/latest/dg/hash-functions.html

-- https://docs.aws.amazon.com/redshift/latest/dg/r_FNV_HASH.html: 64-bit FNV-1a, starting from the seed
CREATE FUNCTION local_redshift.fnv(bytes bytea, seed bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    product numeric;
    hash bigint := seed;
BEGIN
    FOR i IN 0 .. octet_length(bytes) - 1 LOOP
        product := mod((hash # get_byte(bytes, i)::bigint)::numeric * 1099511628211, 18446744073709551616);
        product := product + CASE WHEN product < 0 THEN 18446744073709551616 ELSE 0 END;
        hash := product - CASE WHEN product >= 9223372036854775808 THEN 18446744073709551616 ELSE 0 END;
    END LOOP;
    RETURN hash;
END $$;

-- convert a number's bytes to little-endian order: int8send and similar functions return big-endian order
CREATE FUNCTION local_redshift.reversed(bytes bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    result bytea := '';
BEGIN
    FOR i IN REVERSE octet_length(bytes) - 1 .. 0 LOOP
        result := result || pg_catalog.substr(bytes, i + 1, 1);
    END LOOP;
    RETURN result;
END $$;

CREATE FUNCTION local_redshift.fnv_hash(value text, seed bigint DEFAULT -3750763034362895579) RETURNS bigint
LANGUAGE sql IMMUTABLE RETURN local_redshift.fnv(convert_to(value, 'UTF8'), seed);

CREATE FUNCTION local_redshift.fnv_hash(value smallint, seed bigint DEFAULT -3750763034362895579) RETURNS bigint
LANGUAGE sql IMMUTABLE RETURN local_redshift.fnv(local_redshift.reversed(int2send(value)), seed);

CREATE FUNCTION local_redshift.fnv_hash(value integer, seed bigint DEFAULT -3750763034362895579) RETURNS bigint
LANGUAGE sql IMMUTABLE RETURN local_redshift.fnv(local_redshift.reversed(int4send(value)), seed);

CREATE FUNCTION local_redshift.fnv_hash(value bigint, seed bigint DEFAULT -3750763034362895579) RETURNS bigint
LANGUAGE sql IMMUTABLE RETURN local_redshift.fnv(local_redshift.reversed(int8send(value)), seed);

-- https://docs.aws.amazon.com/redshift/latest/dg/SHA1.html: implemented here as in FIPS 180-4, section 6.1, because PostgreSQL has SHA-1 only in an extension
CREATE FUNCTION local_redshift.sha1(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    mask constant bigint := 4294967295;
    message bytea := convert_to(value, 'UTF8');
    padded bytea := message || E'\\x80'::bytea || decode(repeat('00', (119 - octet_length(message) % 64) % 64), 'hex')
        || int8send(octet_length(message)::bigint * 8);
    h bigint[] := ARRAY[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    w bigint[];
    v bigint[];
    mixed bigint;
    word bigint;
BEGIN
    FOR block IN 0 .. octet_length(padded) / 64 - 1 LOOP
        w := '{}';
        FOR t IN 0 .. 79 LOOP
            IF t < 16 THEN
                word := 0;
                FOR b IN 0 .. 3 LOOP
                    word := word * 256 + get_byte(padded, block * 64 + t * 4 + b);
                END LOOP;
            ELSE
                word := w[t - 2] # w[t - 7] # w[t - 13] # w[t - 15];
                word := ((word << 1) | (word >> 31)) & mask;
            END IF;
            w := w || word;
        END LOOP;
        v := h;
        FOR t IN 0 .. 79 LOOP
            mixed := CASE
                WHEN t < 20 THEN ((v[2] & v[3]) | (~v[2] & v[4])) + 1518500249
                WHEN t < 40 THEN (v[2] # v[3] # v[4]) + 1859775393
                WHEN t < 60 THEN ((v[2] & v[3]) | (v[2] & v[4]) | (v[3] & v[4])) + 2400959708
                ELSE (v[2] # v[3] # v[4]) + 3395469782
            END;
            mixed := ((((v[1] << 5) | (v[1] >> 27)) & mask) + mixed + v[5] + w[t + 1]) & mask;
            v := ARRAY[mixed, v[1], ((v[2] << 30) | (v[2] >> 2)) & mask, v[3], v[4]];
        END LOOP;
        FOR i IN 1 .. 5 LOOP
            h[i] := (h[i] + v[i]) & mask;
        END LOOP;
    END LOOP;
    RETURN (SELECT string_agg(lpad(to_hex(part), 8, '0'), '' ORDER BY n) FROM unnest(h) WITH ORDINALITY AS p (part, n));
END $$;

-- https://docs.aws.amazon.com/redshift/latest/dg/SHA2.html
CREATE FUNCTION local_redshift.sha2(value text, bits integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN encode(CASE bits
    WHEN 224 THEN sha224(convert_to(value, 'UTF8'))
    WHEN 384 THEN sha384(convert_to(value, 'UTF8'))
    WHEN 512 THEN sha512(convert_to(value, 'UTF8'))
    WHEN 256 THEN sha256(convert_to(value, 'UTF8'))
    WHEN 0 THEN sha256(convert_to(value, 'UTF8'))
END, 'hex');

-- https://docs.aws.amazon.com/redshift/latest/dg/crc32-function.html: CRC-32C in hexadecimal, as in the page's example
CREATE FUNCTION local_redshift.crc32(value text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN to_hex(pg_catalog.crc32c(convert_to(value, 'UTF8')));
