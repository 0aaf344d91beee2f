"""What a JSON value becomes in a column, or the load error. Each row cites its fact.

DG is https://docs.aws.amazon.com/redshift/latest/dg/. "Seen" is a row or log that somebody published;
"guess" is a choice where nothing is known (local_redshift/README.md, "Assumptions about Redshift").
"""

import datetime as dt
import json
from decimal import Decimal

import pytest

from local_redshift.copy.values import TYPES

UTC = dt.timezone.utc
# what a value becomes does not depend on where the file is; other modules read theirs from S3, too
local_only = pytest.mark.parametrize("source", ["local"], indirect=True)

# fmt: off
VALUES = [  # fact, column, the value in the file, options after JSON 'auto', what is in the table
    ("DG copy-parameters-data-format", "INT", None, "", None),
    ("guess: null is absent data", "INT", "null", "", None),
    ("DG: the rule for other types; seen", "INT", '""', "", None),
    ("DG: blanks only", "INT", '"   "', "", None),
    ("DG: blanks only", "DATE", '"  "', "", None),
    ("DG: blanks only", "BOOLEAN", '""', "", None),
    ("DG: blanks only", "DECIMAL", '""', "", None),
    ("DG: blanks only", "TIMESTAMP", '" "', "", None),
    ("DG: blanks only", "DOUBLE PRECISION", '""', "", None),
    ("seen: userId", "INT", '"39"', "", 39),
    ("seen", "INT", "-2147483648", "", -2147483648),
    ("seen", "BIGINT", "9223372036854775807", "", 9223372036854775807),
    ("seen", "SMALLINT", "32767", "", 32767),
    ("seen: registration", "BIGINT", "1540919166796.0", "", 1540919166796),
    ("guess: cut off", "INT", "2.9", "", 2),
    ("guess: toward zero", "INT", "-2.9", "", -2),
    ("guess: cut off before the limit is checked", "SMALLINT", "32767.5", "", 32767),
    ("guess: as written", "CHAR(6)", "1.50", "", "1.50  "),
    ("guess", "INT", "1e3", "", 1000),
    ("guess", "INT", '"+5"', "", 5),
    ("guess: an integer zero has no sign", "BOOLEAN", "-0", "", False),
    ("guess: an integer zero has no sign", "VARCHAR", "-0", "", "-0"),
    ("DG copy-parameters-data-conversion ROUNDEC", "DECIMAL(8,2)", "20.259", "", Decimal("20.25")),
    ("DG copy-parameters-data-conversion ROUNDEC", "DECIMAL(8,2)", "20.259", "ROUNDEC", Decimal("20.26")),
    ("guess: toward zero", "DECIMAL(8,2)", "-20.259", "", Decimal("-20.25")),
    ("DG r_Numeric_types201: the default is (18,0)", "DECIMAL", "495.3073", "", Decimal(495)),
    ("DG: a string keeps its digits", "DECIMAL(38,10)", '"1234567890123456789.0123456789"', "", Decimal("1234567890123456789.0123456789")),
    ("DG: a number goes through binary floating point", "DECIMAL(38,10)", "0.12345678901234567890", "", Decimal("0.1234567890")),
    ("DG: a number goes through binary floating point", "DECIMAL(38,0)", "12345678901234567890123.0", "", Decimal("12345678901234568000000")),
    ("DG", "DECIMAL(5,2)", "7", "", Decimal("7.00")),
    ("DG", "DOUBLE PRECISION", "218.93179", "", 218.93179),
    ("DG", "DOUBLE PRECISION", '"-1.5e3"', "", -1500.0),
    ("DG", "DOUBLE PRECISION", "1e-400", "", 0.0),
    ("DG", "REAL", "0.1", "", 0.1),
    ("DG", "REAL", "1e-50", "", 0.0),
    ("guess", "BOOLEAN", "true", "", True),
    ("guess", "BOOLEAN", "false", "", False),
    ("DG r_Boolean_type", "BOOLEAN", '"Yes"', "", True),
    ("DG r_Boolean_type", "BOOLEAN", '"n"', "", False),
    ("guess: blanks around it", "BOOLEAN", '" true "', "", True),
    ("guess", "BOOLEAN", "1", "", True),
    ("DG", "VARCHAR", '""', "", ""),
    ("DG EMPTYASNULL", "VARCHAR", '""', "EMPTYASNULL", None),
    ("DG", "VARCHAR", '"  "', "", "  "),
    ("DG BLANKSASNULL", "VARCHAR", '"  "', "BLANKSASNULL", None),
    ("DG BLANKSASNULL: an empty text has no blanks", "VARCHAR", '""', "BLANKSASNULL", ""),
    ("DG TRIMBLANKS", "VARCHAR", '" a  "', "TRIMBLANKS", " a"),
    ("DG: EMPTYASNULL is of empty text alone", "VARCHAR", '" a  "', "EMPTYASNULL", " a  "),
    ("DG: EMPTYASNULL is of empty text alone", "VARCHAR", '"  "', "EMPTYASNULL", "  "),
    ("DG: BLANKSASNULL is of blanks alone", "VARCHAR", '" a  "', "BLANKSASNULL", " a  "),
    ("DG TRIMBLANKS: tabs are no blanks", "VARCHAR", '"a\\t\\u00a0  "', "TRIMBLANKS", "a\t\u00a0"),
    ("DG: TRIMBLANKS leaves an empty text", "VARCHAR", '"  "', "TRIMBLANKS", ""),
    ("DG r_Character_types: blanks past the length go", "VARCHAR(3)", '"abc   "', "", "abc"),
    ("DG TRUNCATECOLUMNS", "VARCHAR(3)", '"abcdef"', "TRUNCATECOLUMNS", "abc"),
    ("guess: never within a character", "VARCHAR(3)", '"éé"', "TRUNCATECOLUMNS", "é"),
    ("seen: escapes are decoded", "VARCHAR", r'"a\n\t\\\"\u00e3\/"', "", 'a\n\t\\"ã/'),
    ("seen: 255 characters in 264 bytes did not fit 256; 256 bytes do", "VARCHAR(256)", json.dumps("é" * 128), "", "é" * 128),
    ("JSON", "VARCHAR", r'"\ud83d\ude00"', "", "😀"),
    ("seen: the value is cut at NUL", "VARCHAR", r'"hello\u0000 world"', "", "hello"),
    ("guess", "VARCHAR", r'"\u0000"', "", ""),
    ("guess: as written", "VARCHAR", "1.0", "", "1.0"),
    ("guess: as written", "VARCHAR", "1E5", "", "1E5"),
    ("guess: as written", "VARCHAR", "123456789012345678901234567890", "", "123456789012345678901234567890"),
    ("guess", "VARCHAR", "true", "", "true"),
    ("DG: the whole value with its brackets", "VARCHAR", '["a", {"b":  1.50}]', "", '["a", {"b":  1.50}]'),
    ("DG: the whole value with its brackets", "VARCHAR", "{}", "", "{}"),
    ("DG: ACCEPTINVCHARS, one a byte", "VARCHAR", b'"a\xe2\x82b"', "ACCEPTINVCHARS", "a??b"),
    ("DG multi-byte: noncharacters load", "VARCHAR", '"\ufdd0\uffff\U0001fffe"', "", "\ufdd0\uffff\U0001fffe"),
    ("DG multi-byte: noncharacters load", "VARCHAR", r'"\ufdef"', "", "\ufdef"),
    ("DG multi-byte: noncharacters, one a byte", "VARCHAR", '"a\ufdd0b\ufdef\U0010fffe"', "ACCEPTINVCHARS", "a???b???????"),
    ("DG multi-byte: the neighbours are characters", "VARCHAR", '"\ufdcf\ufdf0\ufffd\U0001fffd"', "ACCEPTINVCHARS", "\ufdcf\ufdf0\ufffd\U0001fffd"),
    ("DG multi-byte: noncharacters, one a byte", "VARCHAR", r'"\ud83f\udfff\uffff"', "ACCEPTINVCHARS '^'", "^^^^^^^"),
    ("DG: ACCEPTINVCHARS AS", "VARCHAR", b'"\xa4"', "ACCEPTINVCHARS AS '^'", "^"),
    ("guess: three bytes", "VARCHAR", r'"\ud83d"', "ACCEPTINVCHARS", "???"),
    ("DG", "CHAR(3)", '"ab"', "", "ab "),
    ("DG", "DATE", '"2018-11-01"', "", dt.date(2018, 11, 1)),
    ("DG r_DATEFORMAT", "DATE", '"01.11.18"', "DATEFORMAT 'DD.MM.YY'", dt.date(2018, 11, 1)),
    ("guess: as PostgreSQL", "DATE", '"01.11.69"', "DATEFORMAT 'DD.MM.YY'", dt.date(2069, 11, 1)),
    ("guess: as PostgreSQL", "DATE", '"01.11.70"', "DATEFORMAT 'DD.MM.YY'", dt.date(1970, 11, 1)),
    ("DG r_DATEFORMAT", "DATE", '"Nov/1/2018"', "DATEFORMAT AS 'MON/DD/YYYY'", dt.date(2018, 11, 1)),
    ("DG automatic-recognition: the time is dropped", "DATE", '"2018-11-01 10:00:00"', "DATEFORMAT 'auto'", dt.date(2018, 11, 1)),
    ("DG r_DATEFORMAT: abbreviated or full", "DATE", '"november/1/2018"', "DATEFORMAT AS 'MON/DD/YYYY'", dt.date(2018, 11, 1)),
    ("DG r_DATEFORMAT: abbreviated or full", "DATE", '"1MAY2018"', "DATEFORMAT AS 'DDMONYYYY'", dt.date(2018, 5, 1)),
    ("DG r_DATEFORMAT: abbreviated or full", "TIMESTAMP", '"September 30, 2018 10:00"', "TIMEFORMAT AS 'MON DD, YYYY HH:MI'", dt.datetime(2018, 9, 30, 10)),
    ("DG ACCEPTANYDATE", "DATE", '"00/00/00"', "ACCEPTANYDATE DATEFORMAT 'MM/DD/YY'", None),
    ("DG", "TIMESTAMP", '"2018-11-01 20:57:10"', "", dt.datetime(2018, 11, 1, 20, 57, 10)),
    ("DG: a fraction down to microseconds", "TIMESTAMP", '"2018-11-01 20:57:10.123456"', "", dt.datetime(2018, 11, 1, 20, 57, 10, 123456)),
    ("DG r_DATEFORMAT", "TIMESTAMP", '"1.11.2018 08:57:10 PM"', "TIMEFORMAT 'DD.MM.YYYY HH12:MI:SS AM'", dt.datetime(2018, 11, 1, 20, 57, 10)),
    ("DG r_DATEFORMAT: midnight", "TIMESTAMP", '"1.11.2018 12:57:10 AM"', "TIMEFORMAT 'DD.MM.YYYY HH12:MI:SS AM'", dt.datetime(2018, 11, 1, 0, 57, 10)),
    ("DG r_DATEFORMAT: noon", "TIMESTAMP", '"1.11.2018 12:57:10 PM"', "TIMEFORMAT 'DD.MM.YYYY HH12:MI:SS AM'", dt.datetime(2018, 11, 1, 12, 57, 10)),
    ("seen", "TIMESTAMP", "1541105830796", "TIMEFORMAT AS 'epochmillisecs'", dt.datetime(2018, 11, 1, 20, 57, 10, 796000)),
    ("DG", "TIMESTAMP", "1541105830", "TIMEFORMAT 'epochsecs'", dt.datetime(2018, 11, 1, 20, 57, 10)),
    ("guess: blanks around it", "TIMESTAMP", '" 1541105830 "', "TIMEFORMAT 'epochsecs'", dt.datetime(2018, 11, 1, 20, 57, 10)),
    ("guess: quoted", "TIMESTAMP", '"1541105830796"', "TIMEFORMAT 'epochmillisecs'", dt.datetime(2018, 11, 1, 20, 57, 10, 796000)),
    ("guess: negative", "TIMESTAMP", "-1", "TIMEFORMAT 'epochsecs'", dt.datetime(1969, 12, 31, 23, 59, 59)),
    ("guess: fractional", "TIMESTAMP", "1.5", "TIMEFORMAT 'epochsecs'", dt.datetime(1970, 1, 1, 0, 0, 1, 500000)),
    ("guess: a TIMESTAMP keeps its clock", "TIMESTAMP", '"2018-11-01 20:57:10-05:30"', "TIMEFORMAT 'auto'", dt.datetime(2018, 11, 1, 20, 57, 10)),
    ("DG r_DATEFORMAT", "TIMESTAMP", '"20080215102030"', "TIMEFORMAT 'YYYYMMDDHH24MISS'", dt.datetime(2008, 2, 15, 10, 20, 30)),
    ("DG", "TIMESTAMPTZ", "0", "TIMEFORMAT 'epochsecs'", dt.datetime(1970, 1, 1, tzinfo=UTC)),
    ("DG", "TIMESTAMPTZ", '"2018-11-01 20:57:10+02"', "", dt.datetime(2018, 11, 1, 18, 57, 10, tzinfo=UTC)),
    ("DG automatic-recognition", "TIMESTAMP", '"2019-02-11T05:09:12.195Z"', "TIMEFORMAT 'auto'", dt.datetime(2019, 2, 11, 5, 9, 12, 195000)),
    ("DG automatic-recognition", "TIMESTAMP", '"J2451187"', "TIMEFORMAT 'auto'", dt.datetime(1999, 1, 8)),
    ("DG automatic-recognition", "TIMESTAMP", '"19960108 040809"', "TIMEFORMAT 'auto'", dt.datetime(1996, 1, 8, 4, 8, 9)),
    ("DG automatic-recognition", "TIMESTAMP", '"960108 040809"', "TIMEFORMAT 'auto'", dt.datetime(1996, 1, 8, 4, 8, 9)),
    ("DG automatic-recognition", "TIMESTAMP", '"1996.008"', "TIMEFORMAT 'auto'", dt.datetime(1996, 1, 8)),
    ("DG automatic-recognition", "TIMESTAMP", '"1996-01-08 04:05:06.789"', "TIMEFORMAT 'auto'", dt.datetime(1996, 1, 8, 4, 5, 6, 789000)),
    ("DG automatic-recognition", "TIMESTAMP", '"17 Dec 07:37:16 1997 PST"', "TIMEFORMAT 'auto'", dt.datetime(1997, 12, 17, 7, 37, 16)),
    ("DG automatic-recognition", "TIMESTAMP", '"12/17/1997 07:37:16.00 PST"', "TIMEFORMAT 'auto'", dt.datetime(1997, 12, 17, 7, 37, 16)),
    ("DG automatic-recognition", "TIMESTAMP", '"12.17.1997 07:37:16.00 PST"', "TIMEFORMAT 'auto'", dt.datetime(1997, 12, 17, 7, 37, 16)),
    ("DG", "TIMESTAMPTZ", '"2018-11-01 20:57:10+05:30"', "", dt.datetime(2018, 11, 1, 15, 27, 10, tzinfo=UTC)),
    ("DG", "TIMESTAMPTZ", '"2018-11-01 20:57:10-0330"', "", dt.datetime(2018, 11, 2, 0, 27, 10, tzinfo=UTC)),
    ("DG automatic-recognition", "TIMESTAMPTZ", '"1997-12-17 07:37:16-08"', "TIMEFORMAT 'auto'", dt.datetime(1997, 12, 17, 15, 37, 16, tzinfo=UTC)),
    ("DG: a date alone", "TIMESTAMP", '"2018-11-01"', "TIMEFORMAT 'auto'", dt.datetime(2018, 11, 1)),
    ("DG ACCEPTANYDATE", "TIMESTAMP", '"x"', "ACCEPTANYDATE", None),
    ("DG", "TIME", '"20:57:10.5"', "", dt.time(20, 57, 10, 500000)),
    ("DG", "SUPER", '{"a": [1, "x"]}', "", {"a": [1, "x"]}),
    ("DG", "SUPER", '"text"', "", "text"),
    ("guess: the last of duplicate keys", "INT", '1, "c": 2', "", 2),
]
# fmt: on


@local_only
@pytest.mark.parametrize(("fact", "column", "value", "options", "expected"), VALUES)
def test_value_becomes(copy, fact: str, column: str, value: str | bytes | None, options: str, expected: object) -> None:
    value = value.encode() if isinstance(value, str) else value
    data = b"{}" if value is None else b'{"c": ' + value + b"}"
    [(found,)] = copy.load(f"c {column}", data, f"JSON 'auto' {options}")
    assert (found, type(found)) == (expected, type(expected))


# DG r_Date_and_time_literals.html
DATES = [
    *("January 8, 1999", "1999-01-08", "1/8/1999", "01/02/00", "2000-Jan-31", "Jan-31-2000", "31-Jan-2000"),
    *("20080215", "080215", "2008.366"),
]
TIMES = ["04:05:06.789", "04:05:06", "04:05", "040506", "04:05 AM", "04:05 PM", "16:05", "24:00:00", "24:00"]
TIMESTAMPS = [*DATES, *(f"{date} {time}" for date in DATES for time in TIMES)]


@local_only
@pytest.mark.parametrize(
    ("column", "literals"),
    [("DATE", DATES), ("DATE", TIMESTAMPS), ("TIME", TIMES), ("TIMETZ", TIMES)]
    + [("TIMESTAMP", TIMESTAMPS), ("TIMESTAMPTZ", TIMESTAMPS)],
)
def test_date_or_time_is_read_as_cast_reads_it(copy, column: str, literals: list[str]) -> None:
    # DG automatic-recognition.html: CAST shows whether a value is converted automatically
    data = "\n".join(json.dumps({"written": literal, "c": literal}) for literal in literals)
    found = copy.load(f"written VARCHAR, c {column}", data, "JSON 'auto' DATEFORMAT 'auto' TIMEFORMAT 'auto'")
    assert len(found) == len(literals)
    copy.cursor.execute(f"SELECT written, CAST(written AS {column}), c FROM t WHERE CAST(written AS {column}) <> c")
    assert copy.cursor.fetchall() == []


@local_only
@pytest.mark.parametrize(
    "value", ["[" * 1000 + "]" * 1000, '{"a": ' * 999 + "[1]" + "}" * 999, '"' + "x" * 65_535 + '"']
)
def test_super_is_loaded_up_to_its_limits(copy, value: str) -> None:
    # DG limitations-super.html
    copy.create("c SUPER")
    copy.source.put("data.json", f'{{"c": {value}}}')
    copy.run()
    copy.cursor.execute("SELECT JSON_SERIALIZE(c) FROM t")
    [(found,)] = copy.cursor.fetchall()
    assert found.replace(" ", "") == value.replace(" ", "")


@local_only
def test_deep_value_that_no_column_takes_is_passed_over(copy) -> None:
    assert copy.load("c INT", f'{{"c": 1, "d": {"[" * 1500 + "]" * 1500}}}') == [(1,)]


INT4_RANGE = "Overflow (Integer valid range -2147483648 to 2147483647)"
UTF8 = "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {}"
NO_DATE = "Date value did not match format specified [{}]"
TS = "Invalid timestamp format or value [{}]"
SUPER_LIMIT = "SUPER value has a string of more than 65535 bytes, or more than 1000 levels"
LONG = '"' + "x" * 40 + '"'

# fmt: off
ERRORS = [  # fact, column, the value, options, err_code, err_reason, type, col_length
    ("seen", "INT", "1540919166796.0", "", 1207, INT4_RANGE, "int4", "0"),
    ("seen, by analogy", "BIGINT", "1e30", "", 1207, "Overflow (Long valid range -9223372036854775808 to 9223372036854775807)", "int8", "0"),
    ("by analogy", "SMALLINT", "40000.0", "", 1207, "Overflow (Short valid range -32768 to 32767)", "int2", "0"),
    ("guess", "INT", '"2147483648"', "", 1207, INT4_RANGE, "int4", "0"),
    ("seen", "VARCHAR(39)", LONG, "", 1204, "String length exceeds DDL length", "varchar", "39"),
    ("seen: bytes of the decoded string", "VARCHAR(3)", r'"\u00e9\u00e9"', "", 1204, "String length exceeds DDL length", "varchar", "3"),
    ("DG r_STL_LOAD_ERRORS", "CHAR(39)", LONG, "", 1204, "Char length exceeds DDL length", "char", "39"),
    ("seen for text", "INT", '"a"', "", 1207, "Invalid digit, Value 'a', Pos 0, Type: Integer", "int4", "0"),
    ("seen for CSV", "BIGINT", '"20200407.0"', "", 1207, "Invalid digit, Value '.', Pos 8, Type: Long", "int8", "0"),
    ("by analogy", "SMALLINT", '"1x"', "", 1207, "Invalid digit, Value 'x', Pos 1, Type: Short", "int2", "0"),
    ("guess: a tab is no blank", "INT", '"\\t"', "", 1207, "Invalid digit, Value '\t', Pos 0, Type: Integer", "int4", "0"),
    ("guess: digits are ASCII's", "INT", '"1²"', "", 1207, "Invalid digit, Value '²', Pos 1, Type: Integer", "int4", "0"),
    ("guess: digits are ASCII's", "INT", '"٣"', "", 1207, "Invalid digit, Value '٣', Pos 0, Type: Integer", "int4", "0"),
    ("guess: blanks are no digits", "INT", '" 12"', "", 1207, "Invalid digit, Value ' ', Pos 0, Type: Integer", "int4", "0"),
    ("guess", "INT", "true", "", 1207, "Invalid digit, Value 't', Pos 0, Type: Integer", "int4", "0"),
    ("guess", "INT", "[1]", "", 1207, "Invalid digit, Value '[', Pos 0, Type: Integer", "int4", "0"),
    ("seen in casts", "DECIMAL", '"a"', "", 1207, "Invalid digit, Value 'a', Pos 0, Type: Decimal", "numeric", "18, 0"),
    ("guess", "DECIMAL(5,2)", '"-."', "", 1207, "Invalid digit, Value '.', Pos 1, Type: Decimal", "numeric", "5, 2"),
    ("guess: as in casts", "DECIMAL(5,2)", "1000", "", 1207, "Overflow for NUMERIC(5,2)", "numeric", "5, 2"),
    ("guess: as in casts", "DECIMAL(5,2)", "999.999", "ROUNDEC", 1207, "Overflow for NUMERIC(5,2)", "numeric", "5, 2"),
    ("code DG", "DOUBLE PRECISION", '"1.5x"', "", 1208, "Invalid float format or value", "float8", "0"),
    ("code DG", "DOUBLE PRECISION", "1e400", "", 1208, "Invalid float format or value", "float8", "0"),
    ("code DG", "REAL", "1e39", "", 1208, "Invalid float format or value", "float4", "0"),
    ("code DG", "BOOLEAN", '"maybe"', "", 1210, "Invalid boolean value", "bool", "0"),
    ("seen", "DATE", '"2018-1-1"', "", 1205, "Invalid Date Format - length must be 10 or more", "date", "0"),
    ("seen", "DATE", '"2018-11-01"', "DATEFORMAT 'DD.MM.YYYY'", 1205, NO_DATE.format("DD.MM.YYYY"), "date", "0"),
    ("DG r_DATEFORMAT: neither abbreviated nor full", "DATE", '"Novem 1 2018"', "DATEFORMAT 'MON DD YYYY'", 1205, NO_DATE.format("MON DD YYYY"), "date", "0"),
    ("code DG", "DATE", '"2018-02-30"', "", 1205, NO_DATE.format("YYYY-MM-DD"), "date", "0"),
    ("code DG", "DATE", '"2018-02-30"', "DATEFORMAT 'auto'", 1205, NO_DATE.format("auto"), "date", "0"),
    ("seen", "TIMESTAMP", '"nonsense"', "", 1206, TS.format("YYYY-MM-DD HH24:MI:SS"), "timestamp", "0"),
    ("seen: epochs need TIMEFORMAT", "TIMESTAMP", "1541105830796", "", 1206, TS.format("YYYY-MM-DD HH24:MI:SS"), "timestamp", "0"),
    ("seen: ISO needs 'auto'", "TIMESTAMPTZ", '"2025-09-22T14:42:59.172000Z"', "", 1206, TS.format("YYYY-MM-DD HH24:MI:SSOF"), "timestampt", "0"),
    ("seen", "TIMESTAMP", '"x"', "TIMEFORMAT 'DD.MM.YYYY'", 1206, TS.format("DD.MM.YYYY"), "timestamp", "0"),
    ("guess: the option's word", "TIMESTAMP", '"x"', "TIMEFORMAT 'epochsecs'", 1206, TS.format("epochsecs"), "timestamp", "0"),
    ("guess: the option's word", "TIMESTAMP", "1e20", "TIMEFORMAT 'epochmillisecs'", 1206, TS.format("epochmillisecs"), "timestamp", "0"),
    ("guess: the option's word", "TIMESTAMP", "1e999", "TIMEFORMAT 'epochmillisecs'", 1206, TS.format("epochmillisecs"), "timestamp", "0"),
    ("DG: 'auto' knows no epochs", "TIMESTAMP", "1541105830796", "TIMEFORMAT 'auto'", 1206, TS.format("auto"), "timestamp", "0"),
    ("seen: more than six digits", "TIMESTAMP", '"2018-11-01 20:57:10.1234567"', "TIMEFORMAT 'auto'", 1206, TS.format("auto"), "timestamp", "0"),
    ("DG: 'auto' knows no epochs", "TIMESTAMP", '"1541101230 "', "TIMEFORMAT 'auto'", 1206, TS.format("auto"), "timestamp", "0"),
    ("PostgreSQL's words are none of Redshift's", "TIMESTAMP", '"now"', "TIMEFORMAT 'auto'", 1206, TS.format("auto"), "timestamp", "0"),
    ("PostgreSQL's words are none of Redshift's", "TIMESTAMP", '"tomorrow 04:05"', "TIMEFORMAT 'auto'", 1206, TS.format("auto"), "timestamp", "0"),
    ("PostgreSQL's words are none of Redshift's", "DATE", '"Today 1"', "DATEFORMAT 'auto'", 1205, NO_DATE.format("auto"), "date", "0"),
    ("DG: the words are case-sensitive", "TIMESTAMP", "0", "TIMEFORMAT 'EPOCHSECS'", 1206, TS.format("EPOCHSECS"), "timestamp", "0"),
    ("DG ACCEPTANYDATE: dates and timestamps only", "TIME", '"25:00"', "ACCEPTANYDATE", 1206, "Invalid time format or value [HH24:MI:SS]", "time", "0"),
    ("guess", "TIME", '"25:00"', "", 1206, "Invalid time format or value [HH24:MI:SS]", "time", "0"),
    ("seen", "INT NOT NULL", "null", "", 1213, "Missing data for not-null field", "int4", "0"),
    ("seen", "VARCHAR NOT NULL", None, "", 1213, "Missing data for not-null field", "varchar", "256"),
    ("seen", "VARCHAR NOT NULL", '""', "EMPTYASNULL", 1213, "Missing data for not-null field", "varchar", "256"),
    ("seen", "VARCHAR", b'"a\xa4"', "", 1220, UTF8.format("a4 (error 3)"), "varchar", "256"),
    ("DG: longer than four bytes", "VARCHAR", b'"\xf8\x88\x80\x80\x80"', "", 1220, UTF8.format("f8 (error 1)"), "varchar", "256"),
    ("DG: incomplete at the end", "VARCHAR", b'"\xe2\x82"', "", 1220, UTF8.format("e2 82 (error 2)"), "varchar", "256"),
    ("DG: incomplete, the first of three bytes", "VARCHAR", b'"\xe0\xa0"', "", 1220, UTF8.format("e0 a0 (error 2)"), "varchar", "256"),
    ("DG: incomplete, the last of two bytes", "VARCHAR", b'"\xdf"', "", 1220, UTF8.format("df (error 2)"), "varchar", "256"),
    ("DG: incomplete, the first of four bytes", "VARCHAR", b'"\xf0\x90\x80"', "", 1220, UTF8.format("f0 90 80 (error 2)"), "varchar", "256"),
    ("DG: the last that is longer than four bytes", "VARCHAR", b'"\xfd\x80"', "", 1220, UTF8.format("fd (error 1)"), "varchar", "256"),
    ("DG: the first byte alone is told", "VARCHAR", b'"\xa4\xa5"', "", 1220, UTF8.format("a4 (error 3)"), "varchar", "256"),
    ("DG: a character is no continuation", "VARCHAR", b'"\xe2\x82\xc3\xa9"', "", 1220, UTF8.format("e2 82 c3 (error 4)"), "varchar", "256"),
    ("DG: no continuation", "VARCHAR", b'"\xe2ab"', "", 1220, UTF8.format("e2 61 (error 4)"), "varchar", "256"),
    ("DG: surrogate", "VARCHAR", b'"\xed\xa0\x80"', "", 1220, UTF8.format("ed a0 80 (error 5)"), "varchar", "256"),
    ("DG: above the highest", "VARCHAR", b'"\xf4\x90\x80\x80"', "", 1220, UTF8.format("f4 90 80 80 (error 8)"), "varchar", "256"),
    ("DG: no code point", "VARCHAR", b'"\xc0\x80"', "", 1220, UTF8.format("c0 80 (error 9)"), "varchar", "256"),
    ("guess: a lone surrogate escape", "VARCHAR", r'"\ud83d"', "", 1220, UTF8.format("ed a0 bd (error 5)"), "varchar", "256"),
    ("DG multi-byte", "CHAR(9)", '"é"', "", 1220, "Multibyte character not supported for CHAR (Hint: try using VARCHAR). Invalid char: c3 a9", "char", "9"),
    ("seen", "VARCHAR", r'"\u0000x"', "", 1218, "Invalid null byte - field longer than 1 byte", "varchar", "256"),
    ("guess", "VARBYTE", '"xy"', "", 1207, "Invalid hexadecimal digits for VARBYTE", "varbyte", "64000"),
    ("guess: as for VARCHAR", "VARBYTE(2)", '"616263"', "", 1204, "String length exceeds DDL length", "varbyte", "2"),
    ("guess: numbers beside each other have all their digits", "TIMESTAMP", '"2008021510"', "TIMEFORMAT 'YYYYMMDDHH24MISS'", 1206, TS.format("YYYYMMDDHH24MISS"), "timestamp", "0"),
    ("guess: numbers beside each other have all their digits", "DATE", '"150208"', "DATEFORMAT 'DDMMYYYY'", 1205, NO_DATE.format("DDMMYYYY"), "date", "0"),
    ("guess: numbers beside each other have all their digits", "DATE", '"2008021"', "DATEFORMAT 'YYYYMMDD'", 1205, NO_DATE.format("YYYYMMDD"), "date", "0"),
    ("guess", "TIMETZ", '"25:00"', "", 1206, "Invalid time format or value [HH24:MI:SS]", "timetz", "0"),
    ("DG automatic-recognition: no epochs", "DATE", "1541105830", "DATEFORMAT 'auto'", 1205, NO_DATE.format("auto"), "date", "0"),
    ("DG limitations-super", "SUPER", '["' + "x" * 65_536 + '"]', "", 1224, SUPER_LIMIT, "super", "0"),
    ("DG limitations-super: bytes", "SUPER", '{"a": "' + "\u00e9" * 32_768 + '"}', "", 1224, SUPER_LIMIT, "super", "0"),
    ("DG limitations-super", "SUPER", "[" * 1001 + "]" * 1001, "", 1224, SUPER_LIMIT, "super", "0"),
    ("code DG", "SUPER", r'"\ud83d"', "", 1224, "Invalid JSON for SUPER", "super", "0"),
]
# fmt: on


def file_of(value: str | bytes | None) -> bytes:
    if value is None:
        return b'{"other": 1}'
    return b'{"c": ' + (value.encode() if isinstance(value, str) else value) + b"}"


def shown_value(value: str | bytes | None, reason: str) -> str:
    """What raw_field_value has of a value: its text, a period for what is not ASCII.

    In rows of clusters it is blank for two errors. Of the others no row is known, and the guide has the value there.
    """
    is_literal = isinstance(value, str) and value[:1] != '"'
    if value in (None, "null") or reason.startswith("String length") or (is_literal and "valid range" in reason):
        return ""
    if isinstance(value, bytes):
        value = value.decode("ascii", "surrogateescape")
    text = json.loads(value) if value.startswith('"') else value
    encoded = text.encode("utf-8", "surrogateescape" if "\\u" not in value else "surrogatepass")
    return "".join(chr(byte) if 0 < byte < 0x80 else "." for byte in encoded).replace("\\", "\\\\").rstrip()[:1024]


@local_only
@pytest.mark.parametrize(("fact", "column", "value", "options", "code", "reason", "kind", "length"), ERRORS)
def test_value_is_refused(
    copy,
    fact: str,
    column: str,
    value: str | bytes | None,
    options: str,
    code: int,
    reason: str,
    kind: str,
    length: str,
) -> None:
    data = file_of(value)
    row = copy.fail(f"c {column}", data, f"JSON 'auto' {options}")
    ascii_only = "".join(chr(byte) if byte < 0x80 else "." for byte in data)
    expected = {
        "filename": copy.source.url("data.json"),
        "line_number": 1,
        "colname": "c",
        "type": kind,
        "col_length": length,
        "position": 0,
        "raw_line": ascii_only.replace("\\", "\\\\")[:1024],
        "raw_field_value": shown_value(value, reason),
        "err_code": code,
        "err_reason": reason[:100],
        "is_partial": 0,
        "start_offset": 0,
        "copy_job_id": 0,
    }
    assert {name: row[name] for name in expected} == expected


LITERALS = [  # fact, column, the literal, the type's word
    ("seen", "INT", "1541105830796", "Integer"),
    ("by analogy", "BIGINT", "9223372036854775808", "Long"),
    ("by analogy", "SMALLINT", "-32769", "Short"),
    ("no limit to its digits", "INT", "9" * 5000, "Integer"),
]


@local_only
@pytest.mark.parametrize(("fact", "column", "literal", "word"), LITERALS)
def test_integer_literal_too_big_is_an_error_of_the_line(copy, fact: str, column: str, literal: str, word: str) -> None:
    row = copy.fail(f"c {column}", f'{{"c": {literal}}}')
    assert (row["err_code"], row["err_reason"]) == (1216, f"Overflow, Column type: {word}")
    assert (row["colname"], row["type"], row["col_length"]) == ("", "", "")
    assert row["raw_line"] == literal[:1024]


@local_only
@pytest.mark.parametrize("column", ["INT", "DECIMAL(38, 0)", "DOUBLE PRECISION"])
def test_text_of_many_digits_is_a_load_error_of_its_column(copy, column: str) -> None:
    row = copy.fail(f"c {column}", f'{{"c": "{"9" * 5000}"}}')
    assert row["colname"] == "c" and row["err_code"] in (1207, 1208)


@local_only
def test_literal_overflow_goes_before_conversion_errors(copy) -> None:
    # seen: registration, out of range and first in the object, was reported only after ts was mended
    row = copy.fail("registration INT, ts INT", '{"registration": 1540919166796.0, "ts": 1541105830796}')
    assert row["raw_line"] == "1541105830796" and row["err_code"] == 1216


@local_only
def test_of_several_bad_columns_the_first_of_the_table_is_reported(copy) -> None:
    assert copy.fail("a INT, b INT", '{"b": "x", "a": "y"}')["colname"] == "a"


@local_only
def test_raw_line_is_cut_at_1024_characters_after_doubling(copy) -> None:
    row = copy.fail("c INT", '{"c": "' + r"\\" * 800 + '"}')
    assert row["raw_line"] == ('{"c": "' + r"\\\\" * 800)[:1024]


def test_every_type_is_tried() -> None:
    tried = {row[6] for row in ERRORS}
    shown = {"bpchar": "char", "jsonb": "super", "timestamptz": "timestampt", "bytea": "varbyte"}
    assert tried == {shown.get(name, name) for name in TYPES}


@local_only
def test_time_with_a_zone_is_the_same_moment_by_each_format(copy) -> None:
    # an epoch is in UTC, a time without a zone in the zone of the session
    copy.create("c TIMESTAMPTZ")
    copy.cursor.execute("SET timezone TO 'America/New_York'")
    for value, options in (
        ('"2008-02-15 10:20:30"', ""),
        ('"2008-02-15 10:20:30"', "TIMEFORMAT 'auto'"),
        ('"Feb 15 2008 10:20:30"', "TIMEFORMAT 'auto'"),
        ("1203088830", "TIMEFORMAT 'epochsecs'"),
        ('"1203088830"', "TIMEFORMAT 'epochsecs'"),
    ):
        copy.source.put("data.json", f'{{"c": {value}}}')
        copy.run(options=f"JSON 'auto' {options}")
    copy.cursor.execute("SELECT DISTINCT EXTRACT(epoch FROM c) FROM t")
    assert copy.cursor.fetchall() == [(1203088830,)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # https://docs.aws.amazon.com/redshift/latest/dg/r_FROM_VARBYTE.html, r_TO_VARBYTE.html, r_VARBYTE_type.html
        ("FROM_VARBYTE(FROM_HEX('4d'), 'binary')", "01001101"),
        ("TO_HEX(TO_VARBYTE('01001101', 'binary'))", "4d"),
        ("TO_HEX(TO_VARBYTE('4', 'hex'))", "04"),
        ("TO_HEX(5::SMALLINT::VARBYTE)", "0005"),
        ("TO_HEX('aa'::CHAR(4)::VARBYTE)", "61612020"),
        ("TO_HEX('abcdef'::VARBYTE(2))", "6162"),
    ],
)
def test_varbyte_is_converted_as_the_guide_shows(copy, expression: str, expected: str) -> None:
    copy.cursor.execute(f"SELECT {expression}")
    assert copy.cursor.fetchall() == [(expected,)]


@local_only
def test_functions_of_varbyte_take_bytes_that_are_not_text(copy) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/varbyte-functions.html, r_VARBYTE_OPERATORS.html
    copy.load("c VARBYTE", '{"c": "ff00fe"}')
    copy.cursor.execute("SELECT LEN(c), OCTET_LENGTH(c), LEN(SUBSTRING(c, 2)), LEN(CONCAT(c, c)), LEN(c || c) FROM t")
    assert copy.cursor.fetchall() == [(3, 3, 2, 6, 6)]
    copy.cursor.execute(
        "SELECT TO_HEX(SUBSTRING(c, 2, 1)), TO_HEX(CONCAT(c, FROM_HEX('aa'))), TO_HEX(c || 'b'::VARBYTE || c) FROM t"
    )
    assert copy.cursor.fetchall() == [("00", "ff00feaa", "ff00fe62ff00fe")]


def test_varbyte_is_loaded_from_hexadecimal_digits(copy) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
    copy.load("c VARBYTE(3)", '{"c": "00ffAb"}\n{"c": ""}\n{"c": null}\n')
    copy.cursor.execute("SELECT TO_HEX(c), FROM_VARBYTE(c, 'base64') FROM t ORDER BY 1")
    assert copy.cursor.fetchall() == [("", ""), ("00ffab", "AP+r"), (None, None)]
    copy.cursor.execute(
        "SELECT TO_HEX('abc'::VARBYTE), TO_HEX(FROM_HEX('6162')), TO_HEX(TO_VARBYTE('63', 'hex')), TO_HEX(255)"
    )
    assert copy.cursor.fetchall() == [("616263", "6162", "63", "ff")]
    copy.cursor.execute(
        "SELECT 'a\u00e9'::VARBYTE::VARCHAR, 'abc'::VARBYTE::CHAR(2), LEN('abc'::VARBYTE), FROM_HEX('6162')::VARCHAR(1)"
    )
    assert copy.cursor.fetchall() == [("a\u00e9", "ab", 3, "a")]
