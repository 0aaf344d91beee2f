"""Redshift's functions, and the PostgreSQL function for each.

https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from sqlglot import exp

from local_redshift.errors import NoSuchFunction, NotSupported, SyntaxRefused, not_in_redshift, not_supported
from local_redshift.sql.catalog import MOMENT, NUMBER, TEXT
from local_redshift.sql.relations import Scopes
from local_redshift.sql.types import cast, text_of


class Function(NamedTuple):
    """A function: its name in PostgreSQL, and its arguments.

    Each character of `arguments` describes one argument: t means convert it to text, b means convert it unless it is a
    VARBYTE, and a dot means leave it unchanged. Arguments after a question mark are optional, and a star at the end
    allows any number of further arguments.
    """

    name: str
    arguments: str

    @property
    def least(self) -> int:
        """The number of required arguments."""
        return len(self.arguments.partition("?")[0].rstrip("*"))

    @property
    def most(self) -> float:
        """The maximum number of arguments."""
        return float("inf") if self.arguments.endswith("*") else len(self.arguments.replace("?", ""))

    def kind(self, n: int) -> str:
        """Return the character for argument `n`, counted from 0; "" after the last one."""
        return self.arguments.replace("?", "")[n : n + 1]


def _listed(table: str) -> dict[str, Function]:
    """Parse lines of `NAME arguments [PostgreSQL's name]`; `/` separates synonyms."""
    functions = {}
    for line in table.strip().splitlines():
        names, arguments, *here = line.split()
        for name in names.split("/"):
            functions[name] = Function(here[0] if here else name.lower(), "" if arguments == "-" else arguments)
    return functions


# the stand-in's own functions are in the schema local_redshift; ../server/functions has links to Redshift's guide
FUNCTIONS = _listed("""
    ABS .
    ACOS .
    ADD_MONTHS ..                        local_redshift.add_months
    ANY_VALUE .
    ASCII t
    ASIN .
    ATAN .
    ATAN2 ..
    BIT_AND .
    BIT_OR .
    BOOL_AND .
    BOOL_OR .
    BTRIM t?t
    CAN_JSON_PARSE t                     local_redshift.can_json_parse
    CBRT .
    CEIL/CEILING .
    CHARINDEX tt                         local_redshift.charindex
    CHR .
    CONCAT bb                            local_redshift.concat
    CONVERT_TIMEZONE t.?.                local_redshift.convert_timezone
    COS .
    COT .
    COUNT .
    CRC32 t                              local_redshift.crc32
    CUME_DIST -
    CURRENT_DATABASE -
    CURRENT_SCHEMAS .                    local_redshift.current_schemas
    DATE_CMP ..                          local_redshift.date_cmp
    DATE_CMP_TIMESTAMP ..                local_redshift.date_cmp_timestamp
    DATE_CMP_TIMESTAMPTZ ..              local_redshift.date_cmp_timestamptz
    DATE_PART_YEAR .                     local_redshift.date_part_year
    DECIMAL_PRECISION .                  local_redshift.decimal_precision
    DECIMAL_SCALE .                      local_redshift.decimal_scale
    DEGREES .
    DENSE_RANK -
    DEXP .                               local_redshift.dexp
    DLOG1 .                              local_redshift.dlog1
    DLOG10 .                             local_redshift.dlog10
    EXP .
    FIRST_VALUE .
    FLOOR .
    FNV_HASH .?.                         local_redshift.fnv_hash
    FUNC_SHA1/SHA1/SHA t                 local_redshift.sha1
    GET_ARRAY_LENGTH .                   local_redshift.get_array_length
    FROM_HEX t                           local_redshift.from_hex
    FROM_VARBYTE .t                      local_redshift.from_varbyte
    GETDATE -                            local_redshift.getdate
    INITCAP t
    INTERVAL_CMP ..                      local_redshift.interval_cmp
    IS_ARRAY .                           local_redshift.is_array
    IS_BIGINT .                          local_redshift.is_bigint
    IS_BOOLEAN .                         local_redshift.is_boolean
    IS_CHAR .                            local_redshift.is_char
    IS_DECIMAL .                         local_redshift.is_decimal
    IS_FLOAT .                           local_redshift.is_float
    IS_INTEGER .                         local_redshift.is_integer
    IS_OBJECT .                          local_redshift.is_object
    IS_SCALAR .                          local_redshift.is_scalar
    IS_SMALLINT .                        local_redshift.is_smallint
    IS_VALID_JSON t                      local_redshift.is_valid_json
    IS_VALID_JSON_ARRAY t                local_redshift.is_valid_json_array
    IS_VARCHAR .                         local_redshift.is_varchar
    JSON_ARRAY_LENGTH t?.                local_redshift.json_array_length
    JSON_EXTRACT_ARRAY_ELEMENT_TEXT t.?. local_redshift.json_extract_array_element_text
    JSON_PARSE t                         local_redshift.json_parse
    JSON_SERIALIZE .                     local_redshift.json_serialize
    JSON_TYPEOF .                        local_redshift.json_typeof
    LAG .?..
    LAST_DAY .                           local_redshift.last_day
    LAST_VALUE .
    LEAD .?..
    LEFT t.                              pg_catalog.left
    LEN/LENGTH/CHAR_LENGTH/CHARACTER_LENGTH/TEXTLEN b local_redshift.len
    LN .
    LOG .
    LOWER t
    LPAD t.?t
    LTRIM t?t
    MAX .
    MD5 t
    MEDIAN .                             local_redshift.median
    MIN .
    MOD ..
    MONTHS_BETWEEN ..                    local_redshift.months_between
    NEXT_DAY .t                          local_redshift.next_day
    NTH_VALUE ..
    NTILE .
    NULLIF ..
    OCTET_LENGTH b
    PERCENT_RANK -
    PERCENTILE_CONT .
    PERCENTILE_DISC .
    PG_BACKEND_PID -
    PG_LAST_COPY_COUNT -                 local_redshift.pg_last_copy_count
    PG_LAST_COPY_ID -                    local_redshift.pg_last_copy_id
    PI -
    POWER/POW ..
    QUOTE_IDENT t
    QUOTE_LITERAL t
    RADIANS .
    RANDOM -
    RANK -
    RATIO_TO_REPORT .
    REGEXP_COUNT tt?.t                   local_redshift.regexp_count
    REGEXP_INSTR tt?...t                 local_redshift.regexp_instr
    REGEXP_REPLACE tt?t.t                local_redshift.regexp_replace
    REGEXP_SUBSTR tt?..t                 local_redshift.regexp_substr
    REPEAT/REPLICATE t.                  repeat
    REPLACE ttt
    REVERSE t
    RIGHT t.                             pg_catalog.right
    ROUND .?.
    ROW_NUMBER -
    RPAD t.?t
    RTRIM t?t
    SHA2 t.                              local_redshift.sha2
    SIGN .
    SIN .
    SPLIT_PART tt.
    SQRT .
    STDDEV/STDDEV_SAMP .                 stddev_samp
    STDDEV_POP .
    STRPOS tt
    STRTOL t.                            local_redshift.strtol
    SUBSTR/SUBSTRING b.?.                substr
    SUM .
    TAN .
    TIMEOFDAY -
    TIMESTAMP_CMP ..                     local_redshift.timestamp_cmp
    TIMESTAMP_CMP_DATE ..                local_redshift.timestamp_cmp_date
    TIMESTAMP_CMP_TIMESTAMPTZ ..         local_redshift.timestamp_cmp_timestamptz
    TIMESTAMPTZ_CMP ..                   local_redshift.timestamptz_cmp
    TIMESTAMPTZ_CMP_DATE ..              local_redshift.timestamptz_cmp_date
    TIMESTAMPTZ_CMP_TIMESTAMP ..         local_redshift.timestamptz_cmp_timestamp
    TO_CHAR .t
    TO_DATE tt?.                         local_redshift.to_date
    TO_HEX .                             local_redshift.to_hex
    TO_NUMBER tt
    TO_TIMESTAMP tt?.                    local_redshift.to_timestamp
    TO_VARBYTE tt                        local_redshift.to_varbyte
    TRANSLATE ttt
    TRUNC .?.
    UPPER t
    VARIANCE/VAR_SAMP .                  var_samp
    VAR_POP .
    VERSION -                            local_redshift.version
""")

# https://docs.aws.amazon.com/redshift/latest/dg/c_sql-functions-leader-node.html: these functions run on the leader
# node only, so they can't be used with tables
LEADER_ONLY = frozenset(
    "AGE ARRAY_TO_STRING CLOCK_TIMESTAMP COL_DESCRIPTION CURRENT_SCHEMA CURRENT_SETTING "
    "CURRENT_TIME CURRENT_TIMESTAMP FORMAT_ENCODING FORMAT_TYPE GENERATE_SERIES GET_BIT GET_BYTE "
    "HAS_COLUMN_PRIVILEGE HAS_DATABASE_PRIVILEGE HAS_SCHEMA_PRIVILEGE HAS_TABLE_PRIVILEGE ISFINITE LOCALTIME "
    "LOCALTIMESTAMP NOW OBJ_DESCRIPTION SET_BIT "
    "SET_BYTE SET_CONFIG SHOBJ_DESCRIPTION TO_ASCII TXID_CURRENT".split()
)
_OF_THE_SYSTEM = re.compile(
    r"PG_(GET_\w+|\w+_IS_VISIBLE|\w+_SIZE|STAT_GET_\w+|ENCODING_TO_CHAR|CLIENT_ENCODING|TYPEOF|POSTMASTER_START_TIME"
    r"|(TERMINATE|CANCEL)_BACKEND)"
)

# Redshift functions that the stand-in does not support, because few pipelines use them
_NOT_SUPPORTED = frozenset(
    "ADDBBOX APPROXIMATE ARRAY ARRAYS_OVERLAP ARRAY_CONCAT ARRAY_CONTAINS ARRAY_DISTINCT ARRAY_EXCEPT ARRAY_FLATTEN "
    "ARRAY_INTERSECTION ARRAY_POSITION ARRAY_POSITIONS ARRAY_SORT ARRAY_UNION BPCHARCMP BTTEXT_PATTERN_CMP "
    "CHANGE_QUERY_PRIORITY CHANGE_SESSION_PRIORITY CHANGE_USER_PRIORITY CHECKSUM COLLATE DEFAULT_IAM_ROLE "
    "DIFFERENCE DROPBBOX EXPLAIN_MODEL EXPLODE FARMFINGERPRINT64 GEOGRAPHYFROMTEXT GEOMETRYTYPE GETBIT "
    "GET_ASSUMED_IAM_ROLE GET_NUMBER_ATTRIBUTES HAS_ASSUMEROLE_PRIVILEGE HLL HLL_CARDINALITY HLL_COMBINE "
    "HLL_COMBINE_SKETCHES HLL_CREATE_SKETCH JSON_SERIALIZE_TO_VARBYTE JSON_SIZE LAST_USER_QUERY_ID "
    "LOWER_ATTRIBUTE_NAMES MFA_ASSUMED MURMUR3_32_HASH OBFUSCATE_PAYLOAD OBJECT OBJECT_TRANSFORM OCTETINDEX "
    "PG_GET_COLS PG_GET_LATE_BINDING_VIEW_COLS PG_LAST_QUERY_ID PG_LAST_UNLOAD_COUNT PG_LAST_UNLOAD_ID "
    "REBOOT_CLUSTER ROLE_IS_MEMBER_OF SIZE SLICE_NUM SOUNDEX SPLIT_TO_ARRAY SUBARRAY SUPPORTSBBOX TEXT_TO_INT_ALT "
    "TEXT_TO_NUMERIC_ALT TIMEZONE UPPER_ATTRIBUTE_NAMES USER_IS_MEMBER_OF".split()
)

# https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html
_PARTS = """
    millennium millennia mil mils
    century centuries c cent cents
    decade decades dec decs
    year years y yr yrs
    quarter quarters qtr qtrs
    month months mon mons
    week weeks w
    day days d
    hour hours h hr hrs
    minute minutes m min mins
    second seconds s sec secs
    millisecond milliseconds ms msec msecs msecond mseconds millisec millisecs millisecon
    microsecond microseconds microsec microsecs us usec usecs usecond useconds
    dow dayofweek dw weekday
    doy dayofyear dy yearday
    epoch
    timezone
    timezone_hour
    timezone_minute
"""
DATE_PARTS = {word: line.split()[0] for line in _PARTS.strip().splitlines() for word in line.split()}
_ONLY_EXTRACTED = ("dow", "doy", "epoch", "timezone", "timezone_hour", "timezone_minute")


def rewrite(tree: exp.Expr, scopes: Scopes, *, reads_tables: bool) -> None:
    """Replace function calls, casts and text operators with PostgreSQL's."""
    for node in reversed(list(tree.walk())):
        rule = _NODE_RULES.get(type(node))
        if rule is not None:
            rule(node, scopes, reads_tables)


def _call(node: exp.Anonymous, scopes: Scopes, reads_tables: bool) -> None:
    name = node.name.upper()
    if "." in name:
        return  # already translated to one of the stand-in's functions
    special = _SPECIAL.get(name)
    if special is not None:
        special(node, scopes)
        return
    function = FUNCTIONS.get(name)
    if function is None:
        _other_function(node, name, reads_tables)
        return
    given = node.expressions
    if not function.least <= len(given) <= function.most:
        raise NoSuchFunction(f"function {name.lower()} with {len(given)} arguments does not exist")
    for n, argument in enumerate(given):
        if function.kind(n) == "t" or (function.kind(n) == "b" and not _is_bytes(argument, scopes)):
            argument.replace(text_of(argument.copy()))
    node.set("this", function.name)


def _is_bytes(node: exp.Expr, scopes: Scopes) -> bool:
    kind = scopes.type_of(node)
    return kind is not None and kind.name == "bytea"


def _other_function(node: exp.Anonymous, name: str, reads_tables: bool) -> None:
    if name in _NOT_SUPPORTED or name.startswith(("ST_", "H3_")):
        raise not_supported(name)
    if name not in LEADER_ONLY and not _OF_THE_SYSTEM.fullmatch(name):
        raise NoSuchFunction(f"function {name.lower()}() does not exist: Redshift has no function of this name")
    if reads_tables:
        raise _of_the_leader(name)


def _of_the_leader(name: str) -> NotSupported:
    # a cluster's error message, but with the function's name in DETAIL; a cluster sends the name in an earlier INFO
    # message
    return NotSupported(
        "Specified types or functions (one per INFO message) not supported on Redshift tables.",
        f'Function "{name.lower()}" not supported.',
    )


def check_values(tree: exp.Expr) -> None:
    """Refuse leader-node functions written without parentheses, in queries on tables."""
    for node in tree.find_all(exp.Var):
        if node.name in LEADER_ONLY:
            raise _of_the_leader(node.name)


def named_part(node: exp.Expr | None, *, extracted: bool) -> str:
    """Return the date part that an argument names, or raise SyntaxRefused."""
    word = node.name.lower() if node is not None else ""
    part = DATE_PARTS.get(word)
    if part is None or (part in _ONLY_EXTRACTED and not extracted):
        raise SyntaxRefused(f'"{word}" is not a date part that can be used here')
    return part


def _with_part(name: str, count: int, extracted: bool = False) -> Callable[[exp.Anonymous, Scopes], None]:
    def rule(node: exp.Anonymous, scopes: Scopes) -> None:
        if len(node.expressions) != count:
            raise NoSuchFunction(f"function {node.name.lower()} with {len(node.expressions)} arguments does not exist")
        part = named_part(node.expressions[0], extracted=extracted)
        node.set("expressions", [exp.Literal.string(part), *node.expressions[1:]])
        node.set("this", name)

    return rule


def _date_part(node: exp.Anonymous, scopes: Scopes) -> None:
    _with_part("date_part", 2, extracted=True)(node, scopes)
    part = node.expressions[0].name
    if part == "microsecond":
        node.replace(_mod(node.copy(), 1000000))
    elif part == "decade":
        node.replace(exp.Paren(this=exp.Add(this=node.copy(), expression=exp.Literal.number(1))))


def _extract(node: exp.Extract, scopes: Scopes, reads_tables: bool) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_EXTRACT_function.html: the result is an integer; milliseconds and
    # microseconds exclude the whole seconds
    part = named_part(node.this, extracted=True)
    value: exp.Expr = _function("date_part", exp.Literal.string(part), node.expression.copy())
    if part in ("epoch", "second", "millisecond", "microsecond"):
        value = _function("floor", value)
    if part == "decade":
        value = exp.Add(this=value, expression=exp.Literal.number(1))
    whole: exp.Expr = exp.Cast(this=value, to=exp.Var(this="bigint" if part == "epoch" else "integer"))
    if part == "millisecond":
        whole = exp.Paren(this=exp.Mod(this=whole, expression=exp.Literal.number(1000)))
    if part == "microsecond":
        whole = exp.Paren(this=exp.Mod(this=whole, expression=exp.Literal.number(1000000)))
    node.replace(whole)


def _mod(value: exp.Expr, number: int) -> exp.Expr:
    whole = exp.Cast(this=value, to=exp.Var(this="bigint"))
    return exp.Cast(
        this=exp.Paren(this=exp.Mod(this=whole, expression=exp.Literal.number(number))),
        to=exp.Var(this="double precision"),
    )


def _function(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _decode(node: exp.Anonymous, scopes: Scopes) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_DECODE_expression.html: NULL matches NULL
    if len(node.expressions) < 3:
        raise NoSuchFunction("function decode needs at least an expression, a value and a result")
    value, *rest = node.expressions
    _as_one_type([*rest[1::2], rest[-1]] if len(rest) % 2 else rest[1::2], scopes)
    rest = node.expressions[1:]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    branches = [
        exp.If(
            this=exp.NullSafeEQ(this=exp.Paren(this=value.copy()), expression=exp.Paren(this=wanted.copy())),
            true=result.copy(),
        )
        for wanted, result in pairs
    ]
    default = rest[-1].copy() if len(rest) % 2 else None
    node.replace(exp.Case(ifs=branches, default=default))


def _nvl2(node: exp.Anonymous, scopes: Scopes) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_NVL2.html
    if len(node.expressions) != 3:
        raise NoSuchFunction("function nvl2 takes three arguments")
    value, given, missing = node.expressions
    is_given = exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null()))
    node.replace(exp.Case(ifs=[exp.If(this=is_given, true=given.copy())], default=missing.copy()))


def _coalesce(node: exp.Anonymous, scopes: Scopes) -> None:
    if not node.expressions:
        raise NoSuchFunction(f"function {node.name.lower()} with 0 arguments does not exist")
    _as_one_type(node.expressions, scopes)
    node.set("this", "coalesce" if node.name.upper() in ("COALESCE", "NVL") else node.name.lower())


def _case(node: exp.Case, scopes: Scopes, reads_tables: bool) -> None:
    results = [branch.args["true"] for branch in node.args["ifs"]]
    _as_one_type([*results, node.args["default"]] if node.args.get("default") is not None else results, scopes)


def _as_one_type(nodes: list[exp.Expr], scopes: Scopes) -> None:
    """Convert numbers and timestamps to text if any argument is text. That Redshift does this is a guess."""
    if len(nodes) < 2 or all(isinstance(node, (exp.Null, exp.Literal)) for node in nodes):
        return
    kinds = [found.kind if (found := scopes.type_of(node)) is not None else None for node in nodes]
    if TEXT in kinds:
        for node, kind in zip(nodes, kinds, strict=True):
            if kind in (NUMBER, MOMENT) and node.parent is not None:
                node.replace(text_of(node.copy()))


def _json_extract_path_text(node: exp.Anonymous, scopes: Scopes) -> None:
    value, *path = node.expressions or [exp.Null()]
    invalid: exp.Expr = path.pop().copy() if path and isinstance(path[-1], exp.Boolean) else exp.false()
    if not 1 <= len(path) <= 5:
        raise NoSuchFunction("function json_extract_path_text takes a string and one to five names")
    names = exp.Array(expressions=[text_of(name.copy()) for name in path])
    node.set("expressions", [text_of(value.copy()), names, invalid])
    node.set("this", "local_redshift.json_extract_path_text")


def _avg(node: exp.Anonymous, scopes: Scopes) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_AVG.html: a DECIMAL keeps its scale
    if len(node.expressions) != 1:
        raise NoSuchFunction(f"function avg with {len(node.expressions)} arguments does not exist")
    argument = node.expressions[0]
    kind = scopes.type_of(argument.expressions[0] if isinstance(argument, exp.Distinct) else argument)
    node.set("this", "avg")
    if kind is not None and kind.name == "numeric" and kind.scale is not None:
        is_windowed = isinstance(node.parent, exp.Window) and node.arg_key == "this"
        whole = node.parent if is_windowed and node.parent is not None else node
        whole.replace(_function("trunc", whole.copy(), exp.Literal.number(kind.scale)))


def _concat_operator(node: exp.DPipe, scopes: Scopes, reads_tables: bool) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_concat_op.html, r_VARBYTE_OPERATORS.html
    if _is_bytes(node, scopes):
        return
    for side in (node.this, node.expression):
        if not isinstance(side, exp.DPipe):
            side.replace(text_of(side.copy()))


def _pattern(node: exp.Binary, scopes: Scopes, reads_tables: bool) -> None:
    node.this.replace(text_of(node.this.copy()))


def _trim(node: exp.Trim, scopes: Scopes, reads_tables: bool) -> None:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get((node.args.get("position") or "").upper(), "btrim")
    characters = node.args.get("expression")
    arguments = [text_of(node.this.copy())] + ([text_of(characters.copy())] if characters is not None else [])
    node.replace(_function(name, *arguments))


def _substring(node: exp.Substring, scopes: Scopes, reads_tables: bool) -> None:
    value = node.this.copy() if _is_bytes(node, scopes) else text_of(node.this.copy())
    arguments = [value, (node.args.get("start") or exp.Literal.number(1)).copy()]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"].copy())
    node.replace(_function("substr", *arguments))


def _position(node: exp.StrPosition, scopes: Scopes, reads_tables: bool) -> None:
    node.replace(_function("strpos", text_of(node.this.copy()), text_of(node.args["substr"].copy())))


def _division(node: exp.Div, scopes: Scopes, reads_tables: bool) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
    kind = scopes.type_of(node)
    if kind is not None and kind.name == "numeric" and kind.scale is not None:
        node.replace(_function("trunc", node.copy(), exp.Literal.number(kind.scale)))


def _qualified(node: exp.Dot, scopes: Scopes, reads_tables: bool) -> None:
    """Handle a schema-qualified function; only those in pg_catalog are supported."""
    if not isinstance(node.expression, (exp.Anonymous, exp.Case, exp.Cast)):
        raise not_supported("navigation of SUPER (a.b.c)")
    if node.this.name != "pg_catalog":
        raise not_supported(f"user-defined functions: {node.this.name}.{node.expression.name}")
    node.replace(node.expression.copy())


def _cast(node: exp.Cast, scopes: Scopes, reads_tables: bool) -> None:
    cast(node, scopes.type_of(node.this))


def _not(node: exp.Not, scopes: Scopes, reads_tables: bool) -> None:
    # sqlglot turns `a IS NOT NULL` into `NOT a IS NULL`, which needs parentheses as the operand of an operator or a
    # cast
    if isinstance(node.parent, (exp.Binary, exp.Cast)) and not isinstance(node.parent, exp.Connector):
        node.replace(exp.Paren(this=node.copy()))


def _type_name(node: exp.Anonymous, scopes: Scopes) -> None:
    """Rewrite DATE(x) and similar calls as casts."""
    if len(node.expressions) != 1:
        raise NoSuchFunction(f"function {node.name.lower()} with {len(node.expressions)} arguments does not exist")
    made = exp.Cast(this=node.expressions[0].copy(), to=exp.DataType.build(node.name, dialect="redshift"))
    node.replace(made)
    cast(made, None)


def _refused(what: str) -> Callable[[exp.Anonymous, Scopes], None]:
    def rule(node: exp.Anonymous, scopes: Scopes) -> None:
        raise not_in_redshift(what)

    return rule


_SPECIAL: dict[str, Callable[[exp.Anonymous, Scopes], None]] = {
    "AVG": _avg,
    **dict.fromkeys(("COALESCE", "NVL", "GREATEST", "LEAST"), _coalesce),
    **dict.fromkeys(("DATEADD", "DATE_ADD"), _with_part("local_redshift.dateadd", 3)),
    **dict.fromkeys(("DATEDIFF", "DATE_DIFF"), _with_part("local_redshift.datediff", 3)),
    "DATE_PART": _date_part,
    "DATEPART": _date_part,
    "DATE_TRUNC": _with_part("local_redshift.date_trunc", 2),
    "DECODE": _decode,
    **dict.fromkeys(
        "DATE TIMESTAMP TIMESTAMPTZ INT2 INT4 INT8 INTEGER BIGINT FLOAT4 FLOAT8 BOOL VARCHAR TEXT".split(), _type_name
    ),
    "JSON_EXTRACT_PATH_TEXT": _json_extract_path_text,
    "NVL2": _nvl2,
    "STRING_AGG": _refused("STRING_AGG"),
    "ARRAY_AGG": _refused("ARRAY_AGG"),
    "VALUES": _refused("VALUES outside of INSERT"),
}

_NODE_RULES: dict[type[exp.Expr], Callable[..., None]] = {
    exp.Anonymous: _call,
    exp.Case: _case,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Div: _division,
    exp.Dot: _qualified,
    exp.DPipe: _concat_operator,
    exp.Extract: _extract,
    exp.Not: _not,
    exp.StrPosition: _position,
    exp.Substring: _substring,
    exp.Trim: _trim,
    **dict.fromkeys((exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike), _pattern),
}
