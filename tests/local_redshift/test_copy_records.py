"""Where records begin and end in a file, which line an error is on, what JSONPaths pick out."""

import bz2
import gzip
import json

import psycopg2
import pytest

from local_redshift import messages
from local_redshift.sources import streams

# where a record ends does not depend on where the file is; the tests below that are not so marked read S3, too
local_only = pytest.mark.parametrize("source", ["local"], indirect=True)

MALFORMED = "Invalid JSON format"  # guess: the text is not known, the code 1216 is
NOT_OBJECT = "Invalid JSONPath format: Member is not an object."
NOT_ARRAY = "Invalid JSONPath format: Not an array or index out of range."

# fmt: off
RECORDS = [  # what is tried (DG copy-parameters-data-format), the file, the values of c
    ("a line each", '{"c": 1}\n{"c": 2}\n', [1, 2]),
    ("no newline at the end", '{"c": 1}\n{"c": 2}', [1, 2]),
    ("several on a line", '{"c": 1} {"c": 2}{"c": 3}', [1, 2, 3]),
    ("one over many lines", '{\n  "c":\n    1\n}\n{ "c": 2\n}', [1, 2]),
    ("blank lines and CRLF", '\r\n\r\n{"c": 1}\r\n\n{"c": 2}\r\n \t\n', [1, 2]),
    ("an empty file", "", []),
    ("only white space", " \n\t\r\n", []),
    ("other keys are passed over", '{"x": {"c": 9}, "c": 1, "C": 2}', [1]),
    ("keys are case-sensitive", '{"C": 1}', [None]),
    ("braces and quotes in strings", '{"x": "}{\\"", "c": 1}{"c": 2}', [1, 2]),
]
BAD = [  # what is tried, the file, line_number, raw_line, err_reason
    ("malformed", '{"c": 1}\n{"c": 2,,}\n{"c": 3}\n', 2, '{"c": 2,,}', MALFORMED),
    ("malformed over lines", '\n{\n"c": 1\n"d": 2\n}\n', 4, '{\n"c": 1\n"d": 2', MALFORMED),
    ("cut short", '{"c": 1}\n{"c": "x\n', 2, '{"c": "x', MALFORMED),
    ("cut short without a newline", '{"c": 1}\n{"c": tr', 2, '{"c": tr', MALFORMED),
    ("junk before", 'junk {"c": 1}', 1, "junk", MALFORMED),
    ("junk between", '{"c": 1}\n\nx\ny\n{"c": 2}', 4, "x\ny", MALFORMED),
    ("blanks that are none in JSON", '{"c": 1}\n\u00a0\n{"c": 2}', 2, "", MALFORMED),
    ("a comma between objects", '{"c": 1},\n{"c": 2}', 1, ",", MALFORMED),
    ("a top-level array", '[{"c": 1}]', 1, '[{"c": 1}]', NOT_OBJECT),
    ("a scalar", "\n1\n", 2, "1", MALFORMED),
    ("NaN", '{"c": NaN}', 1, '{"c": NaN}', MALFORMED),
    ("a control character", '{"c": "a\tb"}', 1, '{"c": "a\tb"}', MALFORMED),
    ("a byte order mark", "\ufeff{}", 1, "...", MALFORMED),
    ("too deep", "{\"c\": " + "[" * 200_000 + "\n", 1, ("{\"c\": " + "[" * 1024)[:1024], MALFORMED),
    ("line of a value's error", '{"c": 1}\n\n{\n"c":\n"x"\n}\n', 6, '{\n"c":\n"x"\n}', "Invalid digit, Value 'x', Pos 0, Type: Integer"),
    ("line after CRLF", '{"c": 1}\r\n{"c": "x"}\r\n', 2, '{"c": "x"}', "Invalid digit, Value 'x', Pos 0, Type: Integer"),
    ("the second on a line", '{"c": 1} {"c": "x"}', 1, '{"c": "x"}', "Invalid digit, Value 'x', Pos 0, Type: Integer"),
]
# fmt: on


@local_only
@pytest.mark.parametrize(("what", "data", "values"), RECORDS, ids=[row[0] for row in RECORDS])
def test_records(copy, what: str, data: str, values: list) -> None:
    assert copy.load("c INT", data) == [(value,) for value in values]


@local_only
@pytest.mark.parametrize(("what", "data", "line", "raw", "reason"), BAD, ids=[row[0] for row in BAD])
def test_bad_record(copy, what: str, data: str, line: int, raw: str, reason: str) -> None:
    row = copy.fail("c INT", data)
    assert (row["line_number"], row["raw_line"], row["err_reason"]) == (line, raw, reason)
    if reason in (MALFORMED, NOT_OBJECT):
        assert (row["err_code"], row["colname"], row["type"], row["col_length"]) == (1216, "", "", "")


@local_only
def test_line_breaks_behind_bad_records_are_counted(copy) -> None:
    copy.create("c INT")
    copy.source.put("data.json", 'x\n\n\n{"c": 1,,}\n\n{"c": "y"}\n')
    before = copy.errors_so_far()
    copy.run(options="JSON 'auto' MAXERROR 4")
    copy.connection.commit()
    assert [row["line_number"] for row in copy.errors(before)] == [1, 4, 6]


def test_records_across_blocks_keep_their_lines(copy) -> None:
    lines = [json.dumps({"c": number, "x": "é" * 5000}, ensure_ascii=number % 2 == 0) for number in range(400)]
    data = "\n".join([*lines[:300], '{"c": "bad"}', *lines[300:]])
    assert copy.fail("c INT", data)["line_number"] == 301
    assert copy.load("c INT", "\n".join(lines)) == [(number,) for number in range(400)]


@local_only
def test_record_that_breaks_off_at_the_end_of_a_block_is_one_record(copy) -> None:
    line, broken = '{"c": 0}\n', '{"x":\n'
    lines, rest = divmod(streams.BLOCK_BYTES - len(broken), len(line))
    copy.create("c INT")
    block = line * (lines - 1) + " " * rest + line + broken
    assert len(block) == streams.BLOCK_BYTES
    copy.source.put("data.json", block + '{"c": 1}\n{"c": 2}\n{"c": 3}\n')
    copy.run(options="JSON 'auto' MAXERROR 2")
    # the second brace in a row is wrong, and COPY goes on with the next line
    copy.cursor.execute("SELECT COUNT(*), MAX(c), SUM(c) FROM t")
    assert copy.cursor.fetchall() == [(lines + 1, 3, 3)]


def test_pretty_printed_records_across_blocks(copy) -> None:
    records = [json.dumps({"c": number, "x": ["y" * 100] * 50}, indent=1) for number in range(500)]
    assert copy.load("c INT", "\n".join(records)) == [(number,) for number in range(500)]


def test_four_megabytes_are_the_most(copy) -> None:
    # DG: with the braces. Reported: MAXERROR does not absorb it
    most = '{"c": 1, "x": "' + "y" * ((4 << 20) - 17) + '"}'
    assert len(most) == 4 << 20
    assert copy.load("c INT", most) == [(1,)]
    for size in (1, 3 << 20):
        row = copy.fail("c INT", most.replace("y", "y" * (size + 1), 1), "JSON 'auto' MAXERROR 10")
        assert (row["err_code"], row["colname"]) == (1216, "")


def test_two_records_may_have_more_than_four_megabytes(copy) -> None:
    records = "".join(json.dumps({"c": n, "x": "y" * ((4 << 20) - 20_000)}) for n in range(3))  # on one line
    assert copy.load("c INT", records) == [(0,), (1,), (2,)]


@local_only
def test_four_megabytes_are_bytes_not_characters(copy) -> None:
    row = copy.fail("c INT", '{"c": 1, "x": "' + "é" * ((2 << 20) + 1) + '"}', "JSON 'auto' MAXERROR 10")
    assert (row["err_code"], row["err_reason"]) == (1216, messages.TOO_LARGE)


def test_endless_record_fails_without_being_read_whole(copy) -> None:
    row = copy.fail("c INT", '{"c": "' + "y" * (9 << 20), "JSON 'auto' MAXERROR 10")
    assert (row["err_code"], row["err_reason"]) == (1216, messages.TOO_LARGE)


@local_only
@pytest.mark.parametrize(("option", "pack"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)])
def test_packed_streams_may_end_with_a_block_that_is_read(copy, monkeypatch, option: str, pack) -> None:
    one = pack(b'{"c": 1}\n' * 100)
    monkeypatch.setattr(streams, "BLOCK_BYTES", len(one))
    assert len(copy.load("c INT", one * 3, f"JSON 'auto' {option}")) == 300


@pytest.mark.parametrize(("option", "pack"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)])
def test_packed_objects(copy, option: str, pack) -> None:
    data = b"".join(b'{"c": %d}\n' % number for number in range(1000))
    assert len(copy.load("c INT", pack(data), f"JSON 'auto' {option}")) == 1000
    several = pack(data) + pack(data)
    assert len(copy.load("c INT", several, f"JSON 'auto' {option}")) == 2000
    copy.create("c INT")
    damaged, beginning = bytearray(pack(data)), bytearray(pack(data))
    damaged[len(damaged) // 2] ^= 0xFF
    beginning[10] = 0x07  # for zlib a block of no type
    # the last: what is packed once more behind a whole one is damaged
    broken_off = [pack(data)[:length] for length in (-20, 1, 5)]
    for broken in (*broken_off, data, bytes(beginning), bytes(damaged), pack(data) + bytes(damaged)):
        copy.source.put("data.json", broken)
        error = copy.refusal(options=f"JSON 'auto' {option}")
        assert "data.json can't be read as " + option.lower() in str(error)
    copy.source.put("data.json", b"")
    copy.run(options=f"JSON 'auto' {option}")
    assert copy.rows() == []
    # packing is not detected: it must be named
    copy.source.put("data.json", pack(data))
    assert copy.failure()[0]["err_code"] == 1216


# JSONPaths


def paths(*steps: str, key: str = "jsonpaths") -> str:
    return json.dumps({key: list(steps)})


@local_only
@pytest.mark.parametrize(
    ("path", "data", "value"),
    [
        ("$.c", '{"c": "x"}', "x"),
        ("$['c']", '{"c": "x"}', "x"),
        ("$.a.b", '{"a": {"b": "x"}}', "x"),
        ("$[\"a\"]['b']", '{"a": {"b": "x"}}', "x"),
        ('$["a\\"b"]', '{"a\\"b": "x"}', "x"),
        ("$['']", '{"": "x", "c": "y"}', "x"),
        ("$['a']['b c']", '{"a": {"b c": "x"}}', "x"),
        ("$.a[1]", '{"a": ["x", "y"]}', "y"),
        ("$['a'][0]['b']", '{"a": [{"b": "x"}]}', "x"),
        ("$.a[0][1].b", '{"a": [[1, {"b": "x"}]]}', "x"),
        ("$[1]", '["x", "y"]', "y"),
        ("$.firstName", '{"firstName": "x", "firstname": "y"}', "x"),
        ("$.a[0]", '{"a": [ 1.50 , 2 ]}', "1.50"),
        ("$.a[0]", '{"a": [1.50]}', "1.50"),
        ("$.a[10]", '{"a": [0, [9], 2, 3, 4, 5, 6, 7, 8, 9, "x"]}', "x"),
        ("$.a[1]", '{"a": [ 1 , {"b":  2} ]}', '{"b":  2}'),
        ("$.a", '{ "a" : [ ] }', "[ ]"),
        ("$.a", '{"a":{"b":1}}', '{"b":1}'),
        ("$.missing", '{"c": "x"}', None),
        ("$.missing.more", '{"c": "x"}', None),
        ("$.a.b", '{"a": null}', None),
        ("$.a", '{"a": {"b":  [1, 2]}}', '{"b":  [1, 2]}'),
        ("$.a.b", '{"x": 1, "a": {"c": [], "b" : [1,\n2]}}', "[1,\n2]"),
    ],
)
def test_path_leads_to(copy, path: str, data: str, value: str | None) -> None:
    name = copy.source.put("paths.json", paths(path))
    assert copy.load("c VARCHAR", data, f"JSON '{name}'") == [(value,)]


@local_only
@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("$.a[1]", '{"a": ["x"]}', NOT_ARRAY),
        ("$.a[2]", '{"a": ["x"]}', NOT_ARRAY),
        ("$.a[0]", '{"a": "x"}', NOT_ARRAY),
        ("$.a[0]", "{}", NOT_ARRAY),
        ("$.a.b", '{"a": ["x"]}', NOT_OBJECT),
        ("$.a", '[{"a": 1}]', NOT_OBJECT),
    ],
)
def test_path_that_does_not_fit(copy, path: str, data: str, reason: str) -> None:
    name = copy.source.put("paths.json", paths(path))
    row = copy.fail("c VARCHAR", data, f"JSON '{name}'")
    assert (row["err_code"], row["err_reason"], row["raw_line"]) == (1216, reason, data)


def test_paths_are_in_the_order_of_the_column_list(copy) -> None:
    name = copy.source.put("paths.json", paths("$.x", "$.y"))
    copy.create("a INT, b INT, c INT DEFAULT 9")
    copy.source.put("data.json", '{"x": 1, "y": 2}')
    copy.run(options=f"JSON '{name}'", target="t (b, a)")
    assert copy.rows() == [(2, 1, 9)]


def test_other_key_than_jsonpaths_means_auto(copy) -> None:
    name = copy.source.put("paths.json", paths("$.x", key="paths"))
    assert copy.load("c INT", '{"c": 1, "x": 2}', f"JSON '{name}'") == [(1,)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"jsonpaths": ["$.c"]} {"jsonpaths": ["$.c"]}',
        '{"jsonpaths": ["$.c"]} x',
        '{"jsonpaths": "$.c"}',
        '{"jsonpaths": []}',
        '{"jsonpaths": ["$.c"], "comment": "x"}',
        '{"jsonpaths": [""]}',
        '{"jsonpaths": [1]}',
        '{"jsonpaths": ["c"]}',
        '{"jsonpaths": ["$"]}',
        '{"jsonpaths": ["$.a[\'b\']"]}',
        '{"jsonpaths": ["$[\'a\'].b"]}',
        '{"jsonpaths": ["$.a[-1]"]}',
        '{"jsonpaths": ["$..a"]}',
        '{"jsonpaths": ["$.*"]}',
        '{"jsonpaths": ["$.a[*]"]}',
        b"\xff",
    ],
)
def test_malformed_jsonpaths_file(copy, content: str | bytes) -> None:
    copy.create("c INT")
    copy.source.put("data.json", '{"c": 1}')
    name = copy.source.put("paths.json", content)
    assert "paths.json" in str(copy.refusal(options=f"JSON '{name}'"))


def test_missing_jsonpaths_file(copy) -> None:
    copy.create("c INT")
    copy.source.put("data.json", '{"c": 1}')
    error = copy.refusal(options=f"JSON '{copy.source.url('nothing.json')}'")
    assert "nothing.json was not found" in str(error)


def test_number_of_jsonpaths_must_be_that_of_the_columns(copy) -> None:
    copy.create("a INT, b INT IDENTITY(0,1)")
    copy.source.put("data.json", '{"c": 1}')
    name = copy.source.put("paths.json", paths("$.a", "$.b"))
    message = str(copy.refusal(options=f"JSON '{name}'"))
    assert "Number of jsonpath" in message and "columns should match" in message


def test_auto_ignorecase(copy) -> None:
    assert copy.load("c INT, d INT", '{"C": 1, "d": 2}', "JSON 'auto ignorecase'") == [(1, 2)]
    assert copy.load("c VARCHAR", '{"C": {"a":  1}}', "JSON 'auto ignorecase'") == [('{"a":  1}',)]


# what an error is like on the way to the client


def test_error_before_loading_has_the_detail_block_if_it_is_about_s3(copy) -> None:
    copy.create("c INT")
    error = copy.refusal(key="nothing-here")
    if not copy.source.root.startswith("s3://"):
        assert error.diag.message_detail is None
        return
    lines = error.diag.message_detail.splitlines()
    assert lines[1] == lines[-1] == "  " + "-" * 47
    assert lines[2] == f"  error:  {error.diag.message_primary}"
    assert [line[:13] for line in lines[3:-1]] == [
        "  code:      ",
        "  context:   ",
        "  query:     ",
        "  location:  ",
        "  process:   ",
    ]
    assert lines[3] == "  code:      8001"
    assert lines[7] == f"  process:   padbmaster [pid={copy.connection.get_backend_pid()}]"


def test_class_and_state_are_the_drivers_own(copy) -> None:
    copy.create("c INT")
    error = copy.refusal(key="nothing-here")
    assert isinstance(error, psycopg2.InternalError) and error.pgcode == "XX000"


@local_only
def test_column_may_be_named_with_a_quote(copy) -> None:
    assert copy.load('"a""b" INT, "c\\d" INT', json.dumps({'a"b': 1, "c\\d": 2})) == [(1, 2)]
