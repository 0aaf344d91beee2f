"""Queries as Redshift reads them. Each row cites its page of the guide, or says where else it is known from.

The pages are of https://docs.aws.amazon.com/redshift/latest/dg/; "seen" is what a cluster printed, a "guess" is neither.
"""

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest

from local_redshift.sql.functions import FUNCTIONS

TABLES = """
DROP TABLE IF EXISTS plays, winsales;
CREATE TABLE plays (id INT, "userId" VARCHAR(10), ts BIGINT, at TIMESTAMP, price DECIMAL(8, 2), cost DECIMAL(8, 2),
    title VARCHAR(20), is_paid BOOLEAN, day DATE, raw_ts VARCHAR(20));
INSERT INTO plays VALUES
    (1, '7', 1541105830796, '2018-11-01 20:57:10.796', 10.50, 3.00, 'One', TRUE, '2018-11-01', '1541105830796'),
    (2, '8', 1541106106796, '2018-11-01 21:01:46.796', 3.25, 2.00, 'Two', FALSE, '2018-11-01', '1541106106796'),
    (3, '8', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE winsales (salesid INT, sellerid INT, buyerid CHAR(1), qty INT);
INSERT INTO winsales VALUES (30001, 3, 'b', 10), (10001, 1, 'c', 10), (10005, 1, 'a', 30), (40001, 4, 'a', 40),
    (10006, 1, 'c', 10), (20001, 2, 'b', 20), (40005, 4, 'a', 10), (20002, 2, 'c', 20), (30003, 3, 'b', 15),
    (30004, 3, 'b', 20), (30007, 3, 'c', 30);
"""


def midnight(*day: int) -> dt.datetime:
    return dt.datetime(*day)


NAMES = [  # page, query, rows
    ("r_SELECT_list", "SELECT id AS a, a + 1 AS b, b * 2 AS c FROM plays WHERE id = 1", [(1, 2, 4)]),
    ("r_SELECT_list, real columns first", "SELECT 9 AS id, id AS b FROM plays WHERE id = 1", [(9, 1)]),
    ("r_WHERE_clause", "SELECT id * 2 AS twice FROM plays WHERE twice = 4", [(4,)]),
    ("r_WHERE_clause, real columns first", "SELECT -1 AS id FROM plays WHERE id = 1", [(-1,)]),
    ("seen", "SELECT title, COUNT(*) AS n FROM plays GROUP BY 1 HAVING n > 0 AND title = 'One'", [("One", 1)]),
    ("r_DATEADD_function, a date part is no alias",
     "SELECT 1 AS month, DATEADD(month, month, '2018-11-01'::DATE) FROM plays "
     "WHERE id = 1 AND DATEDIFF(month, GETDATE(), GETDATE()) = 0", [(1, midnight(2018, 12, 1))]),
    ("r_SELECT_list", "SELECT id AS a FROM plays WHERE a < 3 ORDER BY a + 0 DESC", [(2,), (1,)]),
    ("r_SELECT_list", "WITH p AS (SELECT 5 AS id) SELECT id AS x, x + 1 FROM p", [(5, 6)]),
    ("r_SELECT_list", "SELECT p.id AS x, x + 1 FROM (SELECT * FROM plays) AS p WHERE x = 2", [(2, 3)]),
    ("r_SELECT_list", "SELECT id, id + 1 AS x, (SELECT MAX(x) FROM (SELECT 8 AS x) AS o) FROM plays WHERE id = 1",
     [(1, 2, 8)]),
    ("r_names", 'SELECT "userId", USERID, "USERID" FROM plays WHERE "Id" = 1', [("7", "7", "7")]),
    ("cross-database_usage", "SELECT queries.public.plays.id FROM queries.public.plays WHERE id = 1", [(1,)]),
    ("cross-database_usage", "SELECT p.id FROM queries.public.plays p WHERE id = 1", [(1,)]),
    ("r_EXCLUDE_list", "SELECT * EXCLUDE (qty, buyerid) FROM winsales WHERE salesid = 30001", [(30001, 3)]),
    ("r_EXCLUDE_list", "SELECT * EXCLUDE qty, buyerid FROM winsales WHERE salesid = 30001", [(30001, 3)]),
    ("r_EXCLUDE_list", "SELECT w.*, 1 AS one EXCLUDE (qty, one) FROM winsales AS w WHERE salesid = 30001", [(30001, 3, "b")]),
    ("r_EXCLUDE_list", "SELECT *, 4 AS d EXCLUDE (b, c) FROM (SELECT 1 AS a, 2 AS b, 3 AS c)", [(1, 4)]),
    ("r_GROUP_BY_clause", "SELECT sellerid, SUM(qty) AS s FROM winsales GROUP BY ALL HAVING s > 70 ORDER BY 1", [(3, 75)]),
    ("r_SELECT_list", "SELECT id AS dec FROM plays WHERE id = 1", [(1,)]),
    ("r_SELECT_list", "SELECT TOP 1 id FROM plays WHERE id = 1 UNION SELECT TOP 1 5 ORDER BY 1", [(1,), (5,)]),
    ("r_UNION", "(SELECT 1) UNION (SELECT 2) ORDER BY 1", [(1,), (2,)]),
    ("r_UNION, INTERSECT goes first", "SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3", [(1,)]),
    ("r_WITH_clause", "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT SUM(i) FROM n",
     [(6,)]),
    ("r_SELECT_list, columns around a subquery are real",
     "SELECT id, (SELECT v.a * 2 AS id FROM (SELECT 1 AS k, 7 AS a) AS v WHERE v.k = id) FROM plays WHERE id < 3 ORDER BY 1",
     [(1, 14), (2, None)]),
    ("r_INSERT_30", "SELECT NOT (id IS NOT NULL) = FALSE FROM plays WHERE id = 1", [(True,)]),
]  # fmt: skip

CASTS = [
    ("c_Supported_data_types", "SELECT id || title, id || at FROM plays WHERE id = 1",
     [("1One", "12018-11-01 20:57:10.796")]),
    ("c_Supported_data_types", "SELECT SPLIT_PART(at, '-', 1), SUBSTRING(at, 1, 10), STRPOS(ts, '5') FROM plays WHERE id = 1",
     [("2018", "2018-11-01", 2)]),
    ("c_Supported_data_types", "SELECT LEN(id), UPPER(at), TO_DATE(20181101, 'YYYYMMDD') FROM plays WHERE id = 1",
     [(1, "2018-11-01 20:57:10.796", dt.date(2018, 11, 1))]),
    ("c_Supported_data_types", "SELECT id FROM plays WHERE at LIKE '2018-11-01 20%'", [(1,)]),
    ("guess", "SELECT TIMESTAMP 'epoch' + raw_ts / 1000 * INTERVAL '1 second' FROM plays WHERE id = 1",
     [(dt.datetime(2018, 11, 1, 20, 57, 10, 796000),)]),
    ("guess", "SELECT id FROM plays WHERE userid = 7", [(1,)]),
    ("guess", "SELECT COALESCE(title, id), NVL(userid, ts), CASE WHEN id = 3 THEN id ELSE title END FROM plays WHERE id = 3",
     [("3", "8", "3")]),
    ("guess", "SELECT is_paid = 1, CASE WHEN 1 = is_paid THEN 'paid' END FROM plays WHERE id = 1", [(True, "paid")]),
    ("guess", "SELECT DATEADD(day, 1, '2018-11-01'::VARCHAR), DATE_TRUNC('month', '2018-11-05'::VARCHAR)",
     [(midnight(2018, 11, 2), midnight(2018, 11, 1))]),
    ("guess", "SELECT id FROM plays WHERE at > TIMESTAMP '2018-11-08' - 7 AND at + 1 < TIMESTAMP '2018-11-03'", [(1,), (2,)]),
    ("guess", "SELECT DATEDIFF(day, '2018-11-01'::VARCHAR, '2018-11-03'::VARCHAR), 'a' + 'b'", [(2, "ab")]),
    ("r_Character_types", "SELECT 'äöü'::VARCHAR(4), 'abc'::CHAR(2), 'abc'::VARCHAR(MAX)", [("äö", "ab", "abc")]),
    ("r_Numeric_types201", "SELECT 4323.8951::DECIMAL(8, 2)", [(Decimal("4323.90"),)]),
    ("r_Numeric_types201, a column's value is not rounded",
     "SELECT p::DECIMAL(8, 2) FROM (SELECT 4323.8951::DECIMAL(10, 4) AS p) AS t", [(Decimal("4323.89"),)]),
    ("r_CONVERT_function", "SELECT CONVERT(VARCHAR, 5), CONVERT(INTEGER, '6')", [("5", 6)]),
    ("r_CAST_function", "SELECT DATE('2018-11-01'), '2018-11-01 10:11'::DATETIME",
     [(dt.date(2018, 11, 1), dt.datetime(2018, 11, 1, 10, 11))]),
    ("r_TRY_CAST", "SELECT TRY_CAST('x' AS INT), TRY_CAST('5' AS INT), TRY_CAST(title AS INT) FROM plays WHERE id = 1",
     [(None, 5, None)]),
]  # fmt: skip

RESULTS = [
    ("r_AVG", "SELECT AVG(id), AVG(ts), AVG(price) FROM plays", [(2, 1541105968796, Decimal("6.87"))]),
    ("r_AVG", "SELECT AVG(price) OVER () FROM plays WHERE id = 1", [(Decimal("10.50"),)]),
    ("r_SUM", "SELECT SUM(ts) / 2 FROM plays", [(1541105968796,)]),
    ("r_CONCAT", "SELECT CONCAT('a', NULL), CONCAT('a', 1)", [(None, "a1")]),
    ("r_concat_op", "SELECT 'a' || NULL || 'b', 1 || 2 || 'c'", [(None, "12c")]),
    ("r_numeric_computations201", "SELECT price / cost FROM plays WHERE id = 1", [(Decimal("3.500000000"),)]),
    ("r_numeric_computations201", "SELECT a / b FROM (SELECT 1::DECIMAL(5, 0) AS a, 3::DECIMAL(5, 0) AS b) AS t", [(Decimal("0.333333"),)]),
    ("r_numeric_computations201", "SELECT price / 3 FROM plays WHERE id = 1", [(Decimal("3.5000000000000"),)]),
    ("r_DATEDIFF_function", "SELECT DATEDIFF(months, '2005-01-01', '2008-01-01')", [(36,)]),
    ("r_DATEDIFF_function", "SELECT DATEDIFF('MONTH', '2005-01-01', '2008-01-01'), DATEDIFF(mons, '2005-01-01', '2008-01-01')",
     [(36, 36)]),
    ("r_DATEDIFF_function", "SELECT DATEDIFF(qtrs, '1998-07-01', '2008-07-01'), DATEDIFF(decs, '1999-12-31', '2000-01-01')",
     [(40, 1)]),
    ("r_DATEDIFF_function", "SELECT DATEDIFF(hour, TIME '10:59', TIME '12:00'), DATEDIFF(us, '2018-01-01', '2018-01-01 00:00:01')",
     [(2, 1000000)]),
    ("r_DATEADD_function", "SELECT DATEADD(year, 1, '2016-02-29'), DATEADD(month, 1, '2008-01-31')",
     [(midnight(2017, 3, 1), midnight(2008, 2, 29))]),
    ("r_DATEADD_function", "SELECT DATEADD(m, 5, '2008-02-28'), DATEADD(qtrs, 1, DATE '2008-01-01')",
     [(dt.datetime(2008, 2, 28, 0, 5), midnight(2008, 4, 1))]),
    ("r_Dateparts_for_datetime_functions", "SELECT DATEADD(mils, 1, '1018-01-01'), DATEADD(cents, 1, '1918-01-01')",
     [(midnight(2018, 1, 1), midnight(2018, 1, 1))]),
    ("r_Dateparts_for_datetime_functions", "SELECT DATEADD(msecs, 5, '2018-01-01'), DATEADD(microsecs, 5, '2018-01-01')",
     [(dt.datetime(2018, 1, 1, 0, 0, 0, 5000), dt.datetime(2018, 1, 1, 0, 0, 0, 5))]),
    ("seen", "SELECT DATE_ADD('month', 2, '2018-01-31'), DATE_DIFF('day', '2018-01-01', '2018-01-03')",
     [(midnight(2018, 3, 31), 2)]),
    ("r_EXTRACT_function", "SELECT EXTRACT(ms FROM TIMESTAMP '2009-09-09 12:08:43.101')", [(101,)]),
    ("r_EXTRACT_function", "SELECT EXTRACT(us FROM TIMESTAMP '2009-09-09 12:08:06.789'), EXTRACT(decade FROM DATE '2000-01-01')",
     [(789000, 201)]),
    ("r_Character_types, two literals on two lines", "SELECT 'foo'\n'bar'", [("foobar",)]),
    ("r_DATE_PART_function", "SELECT DATE_PART(microsecond, TIMESTAMP '2019-10-01 00:00:06.789')", [(789000.0,)]),
    ("r_EXTRACT_function", "SELECT EXTRACT(yearday FROM DATE '2018-02-01'), EXTRACT(dw FROM DATE '2018-11-04')", [(32, 0)]),
    ("r_DATE_TRUNC", "SELECT DATE_TRUNC('week', DATE '2008-09-07'), DATE_TRUNC('MONTH', TIMESTAMP '2020-04-28 10:00')",
     [(midnight(2008, 9, 1), midnight(2020, 4, 1))]),
    ("r_TIMESTAMPTZ_CMP", "SELECT TIMESTAMPTZ_CMP('2018-11-01 10:00+02', '2018-11-01 09:00+00')", [(-1,)]),
    ("r_TIMESTAMPTZ_CMP_DATE", "SELECT TIMESTAMPTZ_CMP_DATE('2018-11-01 10:00+00', '2018-11-01')", [(1,)]),
    ("r_TIMESTAMPTZ_CMP_TIMESTAMP", "SELECT TIMESTAMPTZ_CMP_TIMESTAMP('2018-11-01 00:00+00', '2018-11-01')", [(0,)]),
    ("r_TIMESTAMP_CMP_TIMESTAMPTZ", "SELECT TIMESTAMP_CMP_TIMESTAMPTZ('2018-11-01', '2018-11-01 01:00+00')", [(-1,)]),
    ("r_DATE_CMP_TIMESTAMPTZ", "SELECT DATE_CMP_TIMESTAMPTZ('2018-11-01', '2018-10-31 23:00-02')", [(-1,)]),
    ("r_PG_USER: valuntil is an abstime", "SELECT '2022-06-10'::abstime", [(dt.datetime(2022, 6, 10, tzinfo=dt.timezone.utc),)]),
    ("r_LAST_DAY", "SELECT LAST_DAY('2004-02-03')", [(dt.date(2004, 2, 29),)]),
    ("r_ADD_MONTHS", "SELECT ADD_MONTHS('2008-04-30 10:30', 1)", [(dt.datetime(2008, 5, 31, 10, 30),)]),
    ("r_ADD_MONTHS", "SELECT ADD_MONTHS('2008-04-30', 1), ADD_MONTHS('2008-03-31', 1), ADD_MONTHS('2008-03-15', -1)",
     [(midnight(2008, 5, 31), midnight(2008, 4, 30), midnight(2008, 2, 15))]),
    ("r_MONTHS_BETWEEN_function", "SELECT MONTHS_BETWEEN('1969-01-18', '1969-03-18'), MONTHS_BETWEEN('2018-02-28', '2018-01-31')",
     [(-2.0, 1.0)]),
    ("r_NEXT_DAY", "SELECT NEXT_DAY('2014-08-20', 'Tuesday'), NEXT_DAY('2008-01-01 05:54:44', 'Tue')",
     [(dt.date(2014, 8, 26), dt.date(2008, 1, 8))]),
    ("r_DATE_PART_YEAR", "SELECT DATE_PART_YEAR(DATE '2022-04-20')", [(2022,)]),
    ("r_TO_DATE_function", "SELECT TO_DATE('20010631', 'YYYYMMDD'), TO_DATE('02 Oct 2001', 'DD Mon YYYY')",
     [(dt.date(2001, 7, 1), dt.date(2001, 10, 2))]),
    ("r_TO_TIMESTAMP", "SELECT TO_TIMESTAMP('2011-12-18 24:38:15', 'YYYY-MM-DD HH24:MI:SS')",
     [(dt.datetime(2011, 12, 19, 0, 38, 15, tzinfo=dt.timezone.utc),)]),
    ("REGEXP_REPLACE", "SELECT REGEXP_REPLACE('a1b2c3', '[0-9]', '#'), REGEXP_REPLACE('a1', '[0-9]')", [("a#b#c#", "a")]),
    ("REGEXP_REPLACE", "SELECT REGEXP_REPLACE('the fox', '(f)ox', '$1ish', 1, 'i')", [("the fish",)]),
    ("REGEXP_SUBSTR", "SELECT REGEXP_SUBSTR('ab12', '([a-z])([0-9])', 1, 1, 'e'), REGEXP_SUBSTR('ab', '[0-9]')", [("b", "")]),
    ("REGEXP_COUNT", "SELECT REGEXP_COUNT('abcdefg', '[a-z]{3}'), REGEXP_INSTR('abc@x', '@')", [(2, 4)]),
    ("crc32-function", "SELECT CRC32('Amazon Redshift')", [("f2726906",)]),
    ("SHA1", "SELECT SHA1('Amazon Redshift'), FUNC_SHA1('')",
     [("eeac5ed1e11cda66032c30ad77b25071b5487f55", "da39a3ee5e6b4b0d3255bfef95601890afd80709")]),
    ("SHA2", "SELECT SHA2('Amazon Redshift', 256)",
     [("15013dc10bc5b293f1f66ea28d818387f191cafeb26f89639fae0b4acf9c8772",)]),
    ("r_FNV_HASH", "SELECT FNV_HASH(1), FNV_HASH('Amazon Redshift'), FNV_HASH('Amazon Redshift', FNV_HASH(1))",
     [(-5968735742475085980, 7783490368944507294, -2202602717770968555)]),
    ("r_FNV_HASH", "SELECT FNV_HASH(1::SMALLINT), FNV_HASH(1::BIGINT), FNV_HASH('cd', FNV_HASH('ab')) = FNV_HASH('abcd')",
     [(589727492704079044, -8517097267634966620, True)]),
    ("r_STRTOL", "SELECT STRTOL('abcd1234', 16), STRTOL('110101', 2)", [(2882343476, 53)]),
    ("r_TRUNC", "SELECT TRUNC(3.456::FLOAT8, 2), TRUNC(AT) FROM plays WHERE id = 1", [(3.45, dt.date(2018, 11, 1))]),
    ("r_DECODE_expression", "SELECT DECODE(id, 1, 'one', 2, 'two', 'many'), DECODE(title, NULL, 'none') FROM plays ORDER BY id",
     [("one", None), ("two", None), ("many", "none")]),
    ("r_DECODE_expression", "SELECT DECODE(id, 1, title, id) FROM plays ORDER BY id", [("One",), ("2",), ("3",)]),
    ("r_DECODE_expression", "SELECT DECODE(is_paid OR id > 1, FALSE, 'no', TRUE, 'yes'), DECODE(NOT is_paid, TRUE, 1, 0) FROM plays ORDER BY id",
     [("yes", 0), ("yes", 1), ("yes", 0)]),
    ("r_numeric_computations201", "SELECT (price / 7)::DECIMAL(8, 2) FROM plays WHERE id = 2", [(Decimal("0.46"),)]),
    ("r_NVL2", "SELECT NVL2(title, 'has', 'lacks') FROM plays ORDER BY id", [("has",), ("has",), ("lacks",)]),
    ("r_REPLICATE", "SELECT REPLICATE('ab', 2), TEXTLEN('abc'), CHAR_LENGTH('é'), LEFT('abc', 2)", [("abab", 3, 1, "ab")]),
    ("JSON_EXTRACT_PATH_TEXT", """SELECT JSON_EXTRACT_PATH_TEXT('{"a":{"b":{"c":{"d":{"e":5}}}}}', 'a', 'b', 'c', 'd', 'e', TRUE)""",
     [("5",)]),
    ("r_NVL_function", "SELECT COALESCE(title, 0), CASE WHEN id = 1 THEN title ELSE 7 END FROM plays ORDER BY id",
     [("One", "One"), ("Two", "7"), ("0", "7")]),
    ("JSON_EXTRACT_PATH_TEXT", """SELECT JSON_EXTRACT_PATH_TEXT('{"f2":{"f3":1},"f4":{"f5":99,"f6":"star"}}','f4', 'f6')""",
     [("star",)]),
    ("JSON_EXTRACT_PATH_TEXT", "SELECT JSON_EXTRACT_PATH_TEXT('{x', 'a', TRUE), JSON_EXTRACT_PATH_TEXT('{}', 'a')",
     [(None, None)]),
    ("JSON_ARRAY_LENGTH", "SELECT JSON_ARRAY_LENGTH('[11,12,13,{\"f1\":21,\"f2\":[25,26]},14]')", [(5,)]),
    ("JSON_EXTRACT_ARRAY_ELEMENT_TEXT", "SELECT JSON_EXTRACT_ARRAY_ELEMENT_TEXT('[111,112,113]', 2)", [("113",)]),
    ("JSON_EXTRACT_ARRAY_ELEMENT_TEXT", "SELECT JSON_EXTRACT_ARRAY_ELEMENT_TEXT('[111,112,113]', n) FROM (SELECT -1 AS n UNION ALL SELECT 3) AS t",
     [(None,), (None,)]),
    ("IS_VALID_JSON", """SELECT IS_VALID_JSON('{"a":2}'), IS_VALID_JSON('{a'), IS_VALID_JSON_ARRAY('[1]')""",
     [(True, False, True)]),
    ("r_json_typeof", """SELECT JSON_TYPEOF(JSON_PARSE('[1]')), JSON_TYPEOF(JSON_PARSE('{"a": 1}'))""", [("array", "object")]),
]  # fmt: skip

WINDOWS = [
    ("r_QUALIFY_clause", "SELECT id FROM plays QUALIFY ROW_NUMBER() OVER (PARTITION BY userid ORDER BY id DESC) = 1 ORDER BY id",
     [(1,), (3,)]),
    ("r_QUALIFY_clause", "SELECT *, 1 AS one FROM winsales QUALIFY RANK() OVER (ORDER BY qty DESC) = 1", [(40001, 4, "a", 40, 1)]),
    ("r_QUALIFY_clause", "SELECT sellerid, SUM(qty) AS s FROM winsales GROUP BY 1 QUALIFY RANK() OVER (ORDER BY s DESC) = 1",
     [(3, 75)]),
    ("r_QUALIFY_clause", "SELECT DISTINCT sellerid FROM winsales QUALIFY COUNT(*) OVER (PARTITION BY sellerid) > 2 "
     "ORDER BY sellerid LIMIT 1", [(1,)]),
    ("r_QUALIFY_clause", "SELECT salesid FROM winsales QUALIFY COUNT(*) OVER (PARTITION BY sellerid) > 2 ORDER BY salesid DESC LIMIT 2 OFFSET 1",
     [(30004,), (30003,)]),
    ("r_QUALIFY_clause", "SELECT DATE_TRUNC('month', at) AS m, COUNT(*) FROM plays GROUP BY m QUALIFY ROW_NUMBER() OVER (ORDER BY m) = 1",
     [(midnight(2018, 11, 1), 2)]),
    ("r_QUALIFY_clause", "SELECT * FROM (SELECT 1 AS a, 2 AS id) AS x JOIN (SELECT 2 AS id, 3 AS b) AS y USING (id) QUALIFY COUNT(*) OVER () = 1",
     [(2, 1, 3)]),
    ("r_WF_CUME_DIST, r_WF_PERCENT_RANK, r_WF_DENSE_RANK, r_WF_NTILE",
     "SELECT qty, CUME_DIST() OVER (ORDER BY qty), PERCENT_RANK() OVER (ORDER BY qty), DENSE_RANK() OVER (ORDER BY qty), "
     "NTILE(2) OVER (ORDER BY qty) FROM winsales WHERE sellerid = 4 ORDER BY 1", [(10, 0.5, 0.0, 1, 1), (40, 1.0, 1.0, 2, 2)]),
    ("r_WF_LAG", "SELECT salesid, LAG(salesid, 2) RESPECT NULLS OVER (ORDER BY salesid) FROM winsales WHERE sellerid = 1 ORDER BY 1",
     [(10001, None), (10005, None), (10006, 10001)]),
    ("r_QUALIFY_clause, columns of the table keep their names", "SELECT -w.qty AS qty FROM winsales AS w WHERE sellerid = 1 "
     "QUALIFY COUNT(*) OVER () = 3 ORDER BY w.qty, salesid", [(-10,), (-10,), (-30,)]),
    ("r_LISTAGG", "SELECT LISTAGG(sellerid, ', ') WITHIN GROUP (ORDER BY salesid) FROM winsales WHERE qty > 20", [("1, 3, 4",)]),
    ("r_LISTAGG", "SELECT LISTAGG(DISTINCT sellerid, '|') WITHIN GROUP (ORDER BY sellerid) FROM winsales", [("1|2|3|4",)]),
    ("r_LISTAGG", "SELECT LISTAGG(title) FROM plays WHERE title IS NULL", [(None,)]),
    ("r_WF_LISTAGG", "SELECT LISTAGG(buyerid, '') WITHIN GROUP (ORDER BY salesid) OVER (PARTITION BY sellerid) "
     "FROM winsales WHERE sellerid = 1 LIMIT 1", [("cac",)]),
    ("r_MEDIAN", "SELECT MEDIAN(qty), MEDIAN(qty::FLOAT8) FROM winsales WHERE sellerid = 3", [(Decimal("17.5"), 17.5)]),
    ("r_WF_MEDIAN", "SELECT DISTINCT sellerid, MEDIAN(qty) OVER (PARTITION BY sellerid) FROM winsales ORDER BY 1",
     [(1, 10), (2, 20), (3, Decimal("17.5")), (4, 25)]),
    ("r_WF_PERCENTILE_CONT", "SELECT DISTINCT PERCENTILE_CONT(0.6) WITHIN GROUP (ORDER BY qty) OVER () FROM winsales",
     [(Decimal("20"),)]),
    ("r_WF_PERCENTILE_DISC", "SELECT DISTINCT PERCENTILE_DISC(0) WITHIN GROUP (ORDER BY qty) OVER () FROM winsales", [(10,)]),
    ("r_WF_PERCENTILE_DISC", "SELECT DISTINCT PERCENTILE_DISC(1) WITHIN GROUP (ORDER BY qty) OVER () FROM winsales", [(40,)]),
    ("guess: no share of nothing", "SELECT RATIO_TO_REPORT(qty - 20) OVER () FROM winsales WHERE sellerid = 2", [(None,), (None,)]),
    ("r_APPROXIMATE_PERCENTILE_DISC", "SELECT APPROXIMATE PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY qty) FROM winsales", [(20,)]),
    ("r_COUNT", "SELECT APPROXIMATE COUNT(DISTINCT sellerid) FROM winsales", [(4,)]),
    ("r_WF_RATIO_TO_REPORT", "SELECT RATIO_TO_REPORT(qty) OVER () FROM winsales WHERE sellerid = 4 ORDER BY qty", [(0.2,), (0.8,)]),
    ("r_WF_LAG", "SELECT LAG(title) IGNORE NULLS OVER (ORDER BY id DESC) FROM plays ORDER BY id", [("Two",), (None,), (None,)]),
    ("r_WF_LEAD", "SELECT LEAD(title IGNORE NULLS) OVER (ORDER BY id) FROM plays ORDER BY id", [("Two",), (None,), (None,)]),
    ("r_WF_first_value", "SELECT LAST_VALUE(title) IGNORE NULLS OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) "
     "FROM plays ORDER BY id", [("One",), ("Two",), ("Two",)]),
    ("r_WF_first_value", "SELECT FIRST_VALUE(title) RESPECT NULLS OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) FROM plays "
     "ORDER BY id LIMIT 1", [(None,)]),
]  # fmt: skip


@pytest.mark.parametrize(("page", "query", "rows"), [*NAMES, *CASTS, *RESULTS, *WINDOWS])
def test_query_gives_the_rows(cursor: psycopg2.extensions.cursor, page: str, query: str, rows: list[tuple]) -> None:
    cursor.execute(query)
    assert cursor.fetchall() == rows


# each function's page of the guide is r_ and its name; a is 1 and 3
CALLS = """
ABS(-38), NULLIF(1, 1) | 38, None
ACOS(MIN(a)) | 0.0
ANY_VALUE(5) | 5
ASCII('amazon') | 97
ASIN(0), ATAN(0), ATAN2(0, 1), SIN(0), TAN(0) | 0.0, 0.0, 0.0, 0.0, 0.0
BIT_AND(a), BIT_OR(a) | 1, 3
BOOL_AND(a > 1), BOOL_OR(a > 1) | False, True
BTRIM('xyzaxyzbxyzcxyz', 'xyz'), LTRIM('xyxa', 'xy'), RTRIM('ab  ') | axyzbxyzc, a, ab
CAN_JSON_PARSE('[1,'), CAN_JSON_PARSE('[1]') | False, True
ROUND(CBRT(27), 9) | 3.0
CEIL(1.2), CEILING(-1.2), FLOOR(-1.2) | 2, -1, -2
CHARACTER_LENGTH('français'), LENGTH('abc') | 8, 3
COS(0), ROUND(COT(1), 6) | 1.0, 0.642093
DATE_CMP('2008-01-02', '2008-01-01'), DATE_CMP_TIMESTAMP('2008-06-18', '2008-06-18') | 1, 0
DECIMAL_PRECISION(JSON_PARSE('3.14')), DECIMAL_SCALE(JSON_PARSE('3.14')) | 3, 2
DEGREES(PI()), ROUND(RADIANS(180), 6) | 180.0, 3.141593
DEXP(0), EXP(0), DLOG1(1), LN(1), DLOG10(100), LOG(100) | 1.0, 1.0, 0.0, 0.0, 2.0, 2.0
GET_ARRAY_LENGTH(JSON_PARSE('[1, 2, 3]')) | 3
INITCAP('nibh.enim@egestas') | Nibh.Enim@Egestas
INTERVAL_CMP(INTERVAL '3 days', INTERVAL '1 year') | -1
IS_BIGINT(JSON_PARSE('5')), IS_INTEGER(JSON_PARSE('5')), IS_INTEGER(JSON_PARSE('3000000000')) | True, True, False
IS_BOOLEAN(JSON_PARSE('true')), IS_BOOLEAN(JSON_PARSE('1')) | True, False
IS_CHAR(JSON_PARSE('"x"')), IS_VARCHAR(JSON_PARSE('"x"')), IS_VARCHAR(JSON_PARSE('1')) | True, True, False
IS_DECIMAL(JSON_PARSE('5.5')), IS_FLOAT(JSON_PARSE('"x"')) | True, False
IS_SCALAR(JSON_PARSE('[1]')), IS_SCALAR(JSON_PARSE('1')) | False, True
LPAD('cat', 5, 'ab'), RPAD('cat', 5), LPAD('cats', 2) | abcat, cat  , ca
MD5('Amazon Redshift') | f7415e33f972c03abd4f3fed36748f7a
MOD(10, 4), SIGN(-3.5), SQRT(16) | 2, -1, 4.0
POW(2, 10), POWER(2, -1) | 1024.0, 0.5
QUOTE_IDENT('CAT'), QUOTE_LITERAL('It''s') | "CAT", 'It''s'
RANDOM() BETWEEN 0 AND 1, TIMEOFDAY() IS NULL | True, False
REVERSE('frog') | gorf
SHA('x') = SHA1('x') | True
STDDEV_POP(a), VAR_POP(a), VAR_SAMP(a), VARIANCE(a) | 1, 1, 2, 2
ROUND(STDDEV(a), 6), ROUND(STDDEV_SAMP(a), 6) | 1.414214, 1.414214
SUBSTR('caterpillar', 6, 4) | pill
COALESCE(1), NVL(2), GREATEST(3), LEAST(4) | 1, 2, 3, 4
LEN(CAST('abc' AS VARCHAR(MAX))), TO_HEX(CAST('abc' AS VARBYTE(2))) | 3, 6162
EXTRACT(epoch FROM '1970-01-01 00:00:01.7'::TIMESTAMP) | 1
NVL2(a, DATEADD(day, 1, '2018-11-01'::DATE), NULL) = '2018-11-02' | True
EXTRACT(day FROM DATEADD(day, 1, '2018-11-01'::DATE)), LEN('ab' || LEN('abc')) | 2, 3
LEN('é') || NVL(NULL, LEN('abc')) || DATEDIFF(day, '2018-11-01', DATEADD(day, 2, '2018-11-01')) | 132
TIMESTAMP_CMP('2008-01-24 06:43:29', '2008-01-24 06:43:28'), TIMESTAMP_CMP_DATE('2008-06-18', '2008-06-19') | 1, -1
TO_CHAR('2009-12-31 23:15:59'::TIMESTAMP, 'MONTH-DY-DD-YYYY HH12:MIPM') | DECEMBER -THU-31-2009 11:15PM
TO_NUMBER('12,454.8-', '99G999D9S') | -12454.8
MAX(a) OVER () | 3
"""


@pytest.mark.parametrize("case", CALLS.strip().splitlines())
def test_function_gives_the_value(cursor: psycopg2.extensions.cursor, case: str) -> None:
    calls, values = case.rsplit(" | ", 1)
    cursor.execute(f"SELECT {calls} FROM (SELECT 1 AS a UNION ALL SELECT 3) AS t")
    found = [one.normalize() if isinstance(one, Decimal) else one for one in cursor.fetchall()[0]]
    assert ", ".join(map(str, found)) == values


def test_every_function_is_called_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    called = {name.upper() for name in re.findall(r"\b(\w+)\s*\(", tests)}
    assert set(FUNCTIONS) <= called


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT LEN('a'), id::VARCHAR, UPPER(title) AS x, 1 + 1, 'x' || 'y' FROM plays", ["len", "id", "x"]),
        (
            "SELECT EXTRACT(day FROM at), COALESCE(id, 1), NVL(id, 1), COUNT(*) OVER () FROM plays",
            ["date_part", "coalesce"],
        ),
        ('SELECT id AS "UserId" FROM plays', ["userid"]),
        ("SELECT GETDATE(), SYSDATE", ["getdate", "sysdate"]),
    ],
)
def test_columns_of_a_result_have_the_names_of_what_was_written(
    cursor: psycopg2.extensions.cursor, query: str, names: list[str]
) -> None:
    cursor.execute(query)
    assert [column.name for column in cursor.description][: len(names)] == names


WRITES = [  # page, statements, query, rows
    ("r_MERGE", "MERGE INTO target USING source ON target.id = source.id WHEN MATCHED THEN UPDATE SET name = source.name "
     "WHEN NOT MATCHED THEN INSERT VALUES (source.id, source.name)", [(101, "Bob"), (102, "Tony"), (103, "Alice"), (111, "Al")]),
    ("r_MERGE", "MERGE INTO target USING source AS s ON target.id = s.id WHEN MATCHED THEN DELETE "
     "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)", [(101, "Bob"), (103, "Alice"), (111, "Al")]),
    ("r_MERGE", "MERGE INTO target USING source ON target.id = source.id REMOVE DUPLICATES",
     [(101, "Bob"), (102, "Tony"), (103, "Alice"), (111, "Al")]),
    ("r_UPDATE", "UPDATE target SET name = DEFAULT WHERE id = 101", [(101, "nobody"), (102, "John")]),
    ("r_UPDATE", "UPDATE target SET name = source.name FROM source WHERE target.id = source.id", [(101, "Bob"), (102, "Tony")]),
    ("r_UPDATE, computed as in a query", "UPDATE target SET name = (1.119::DECIMAL(5, 3) * id)::DECIMAL(8, 2) WHERE id = 101",
     [(101, "113.01"), (102, "John")]),
    ("r_DELETE", "WITH gone AS (SELECT 102 AS id) DELETE FROM target USING gone WHERE target.id = gone.id", [(101, "Bob")]),
    ("r_DELETE", "DELETE target USING source WHERE target.id = source.id", [(101, "Bob")]),
    ("r_INSERT_30", "INSERT INTO target (id) VALUES (7), (8)", [(7, "nobody"), (8, "nobody"), (101, "Bob"), (102, "John")]),
    ("r_INSERT_30", "INSERT INTO target (SELECT id, name FROM source QUALIFY ROW_NUMBER() OVER (ORDER BY id) = 1)",
     [(101, "Bob"), (102, "John"), (102, "Tony")]),
    ("r_INSERT_30", "INSERT INTO target (id) SELECT DISTINCT id FROM source ORDER BY id DESC LIMIT 1", [(101, "Bob"), (102, "John"), (111, "nobody")]),
    ("c_Supported_data_types", "INSERT INTO target SELECT 5, 6", [(5, "6"), (101, "Bob"), (102, "John")]),
]  # fmt: skip


@pytest.mark.parametrize(("page", "statement", "rows"), WRITES)
def test_statement_leaves_the_rows(
    cursor: psycopg2.extensions.cursor, page: str, statement: str, rows: list[tuple]
) -> None:
    cursor.execute(
        """
        CREATE TABLE target (id INT, name VARCHAR(10) DEFAULT 'nobody');
        CREATE TABLE source (id INT, name VARCHAR(10));
        INSERT INTO target VALUES (101, 'Bob'), (102, 'John');
        INSERT INTO source VALUES (102, 'Tony'), (103, 'Alice'), (111, 'Al');
        """
    )
    cursor.execute(statement)
    cursor.execute("SELECT * FROM target ORDER BY 1, 2")
    assert cursor.fetchall() == rows


def test_sysdate_is_when_the_transaction_began_and_getdate_the_statement(cursor: psycopg2.extensions.cursor) -> None:
    # r_SYSDATE, r_GETDATE
    found = []
    for _ in range(2):
        cursor.execute("SELECT SYSDATE, GETDATE() >= DATE_TRUNC('second', SYSDATE)")
        found += cursor.fetchall()
    assert found[0] == found[1] and found[0][1] is True
    cursor.connection.rollback()
    cursor.execute("SELECT SYSDATE")
    assert cursor.fetchone()[0] > found[0][0]


def test_text_goes_into_a_decimal_column_and_not_into_an_integer(cursor: psycopg2.extensions.cursor) -> None:
    # seen, both
    cursor.execute("CREATE TABLE t (a INT, d DECIMAL(5, 2)); INSERT INTO t (d) SELECT '1.50'::VARCHAR; SELECT d FROM t")
    assert cursor.fetchall() == [(Decimal("1.50"),)]
    with pytest.raises(
        psycopg2.errors.DatatypeMismatch, match="is of type integer but expression is of type character"
    ):
        cursor.execute("INSERT INTO t (a) SELECT '1'::VARCHAR")


def test_statement_is_read_anew_where_a_table_has_changed(cursor: psycopg2.extensions.cursor) -> None:
    query = "SELECT a AS b, b + 1 FROM changing"
    cursor.execute("CREATE TABLE changing (a INT); INSERT INTO changing VALUES (1)")
    cursor.execute(query)
    assert cursor.fetchall() == [(1, 2)]
    cursor.execute("ALTER TABLE changing ADD COLUMN b INT DEFAULT 10")
    cursor.execute(query)
    assert cursor.fetchall() == [(1, 11)]
