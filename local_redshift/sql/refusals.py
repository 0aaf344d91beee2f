"""Refuse query constructs that Redshift lacks or the stand-in does not support.

https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-and-postgres-sql.html
"""

from collections.abc import Callable

from sqlglot import exp

from local_redshift.errors import RedshiftError, SyntaxRefused, not_in_redshift, not_supported
from local_redshift.sql.relations import from_items

# Accepted node types. NOT_IN_REDSHIFT and NOT_SUPPORTED map refused types to names for error messages.
_CLAUSES = (
    exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Offset,
    exp.Join, exp.With, exp.CTE, exp.Subquery, exp.Union, exp.Except, exp.Intersect, exp.Values, exp.Tuple,
    exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Schema,
    exp.Rollup, exp.Cube, exp.GroupingSets, exp.Into,
    exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Whens, exp.When, exp.Create,
)  # fmt: skip
_EXPRESSIONS = (
    exp.Literal, exp.ByteString, exp.RawString, exp.Null, exp.Boolean, exp.Paren, exp.And, exp.Or, exp.Not, exp.Var,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between, exp.Exists, exp.Any, exp.All,
    exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.Escape,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Pow, exp.Neg, exp.Abs, exp.Sqrt, exp.Cbrt, exp.DPipe,
    exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift,
    exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.ObjectIdentifier,
    exp.Interval,
    exp.Concat, exp.Extract, exp.Trim, exp.Substring, exp.StrPosition, exp.AtTimeZone,
    exp.Anonymous, exp.Dot, exp.Distinct, exp.Window, exp.WindowSpec, exp.WithinGroup, exp.IgnoreNulls,
    exp.RespectNulls, exp.Parameter,
)  # fmt: skip
ALLOWED = frozenset(_CLAUSES + _EXPRESSIONS)

# https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-features.html, and constructs
# that Redshift's documented syntax lacks
NOT_IN_REDSHIFT: dict[type[exp.Expr], str] = {
    exp.Array: "ARRAY[...]",
    exp.ArrayContainsAll: "the operator @>",
    exp.ArrayContainedBy: "the operator <@",
    exp.ArrayOverlaps: "the operator &&",
    exp.Collate: 'COLLATE "..."',
    exp.Fetch: "FETCH FIRST",
    exp.Filter: "FILTER",
    exp.JSONBContains: "the operator ?",
    exp.JSONExtract: "the operator ->",
    exp.JSONExtractScalar: "the operator ->>",
    exp.JSONBExtract: "the operator #>",
    exp.JSONBExtractScalar: "the operator #>>",
    exp.Lateral: "LATERAL",
    exp.Lock: "FOR UPDATE",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.OnConflict: "ON CONFLICT",
    exp.Operator: "OPERATOR()",
    exp.Overlaps: "OVERLAPS",
    exp.Returning: "RETURNING",
    exp.Slice: "array slices",
    exp.TableSample: "TABLESAMPLE",
    exp.TableFromRows: "ROWS FROM",
    exp.WithTableHint: "a hint of a table",
}
NOT_SUPPORTED: dict[type[exp.Expr], str] = {
    exp.Bracket: "navigation of SUPER (a.b[0])",
    exp.Connect: "CONNECT BY",
    exp.IntervalSpan: "an interval from one part TO another",
    exp.Unnest: "the unnesting of SUPER in FROM",
    exp.Pivot: "PIVOT and UNPIVOT",
}

# accepted clauses of a SELECT; all others are refused
_SELECT_PARTS = {
    "with_", "kind", "hint", "distinct", "expressions", "limit", "into", "from_", "joins", "where", "group", "having",
    "qualify", "order", "offset", "operation_modifiers", "exclude",
}  # fmt: skip
_SELECT_PARTS_REFUSED = {
    "windows": "WINDOW",
    "laterals": "LATERAL",
    "locks": "FOR UPDATE and FOR SHARE",
    "sample": "TABLESAMPLE",
}

_NEEDS_FRAME = frozenset(
    "AVG COUNT FIRST_VALUE LAST_VALUE MAX MIN NTH_VALUE STDDEV STDDEV_SAMP STDDEV_POP SUM VARIANCE VAR_SAMP "
    "VAR_POP".split()
)


def check(nodes: list[exp.Expr]) -> None:
    """Raise an error for the first unsupported construct."""
    for node in nodes:
        kind = type(node)
        if kind in NOT_IN_REDSHIFT:
            raise not_in_redshift(NOT_IN_REDSHIFT[kind])
        if kind in NOT_SUPPORTED:
            raise not_supported(NOT_SUPPORTED[kind])
        if kind not in ALLOWED:
            raise not_supported(node.sql(dialect="redshift")[:40])
        rule = _RULES.get(kind)
        if rule is not None:
            rule(node)


def _select(node: exp.Select) -> None:
    for part, value in node.args.items():
        if value and part in _SELECT_PARTS_REFUSED:
            raise not_in_redshift(_SELECT_PARTS_REFUSED[part])
        if value and part not in _SELECT_PARTS:
            raise not_supported(part.upper())
    if not node.expressions:
        raise SyntaxRefused("syntax error: SELECT needs at least one expression")
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        raise not_in_redshift("DISTINCT ON")


def _table(node: exp.Table) -> None:
    if node.db and node.db.lower() in _aliases_beside(node):
        raise not_supported("the unnesting of SUPER in FROM")
    for part, what in (("pivots", "PIVOT and UNPIVOT"), ("changes", "CHANGES"), ("version", "VERSION")):
        if node.args.get(part):
            raise not_supported(what)
    for part, what in (
        ("sample", "TABLESAMPLE"),
        ("only", "ONLY"),
        ("ordinality", "WITH ORDINALITY"),
        ("rows_from", "ROWS FROM"),
    ):
        if node.args.get(part):
            raise not_in_redshift(what)


def _aliases_beside(table: exp.Table) -> set[str]:
    """Return the aliases of the other tables in the same FROM."""
    select = table.find_ancestor(exp.Select)
    beside = from_items(select) if select is not None else []
    return {one.alias.lower() for one in beside if one is not table and one.alias}


def _values(node: exp.Values) -> None:
    if not isinstance(node.parent, (exp.Insert, exp.When)):
        raise not_in_redshift("VALUES outside of INSERT")


def _with(node: exp.With) -> None:
    if not isinstance(node.parent, (exp.Query, exp.Update, exp.Delete)):
        raise not_in_redshift(f"WITH before {node.parent.key.upper()}")  # type: ignore[union-attr]


def _cte(node: exp.CTE) -> None:
    if not isinstance(node.this, exp.Query):
        what = node.this.name if isinstance(node.this, exp.Anonymous) else node.this.key
        raise not_in_redshift(f"{what.upper()} in WITH")
    if node.args.get("materialized") is not None:
        raise not_in_redshift("MATERIALIZED in WITH")
    clause = node.parent
    is_recursive = clause is not None and clause.args.get("recursive") and isinstance(node.this, exp.Union)
    # https://docs.aws.amazon.com/redshift/latest/dg/r_WITH_clause.html: a recursive CTE must use UNION ALL
    if is_recursive and node.this.args.get("distinct") and _refers_to(node.this, node.alias):
        raise not_in_redshift("UNION in a recursive WITH: write UNION ALL")


def _refers_to(query: exp.Expr, name: str) -> bool:
    return any(table.name.lower() == name.lower() for table in query.find_all(exp.Table))


def _window(node: exp.Window) -> None:
    is_clause = isinstance(node.parent, exp.Select) and node.arg_key == "windows"
    if is_clause or node.args.get("alias"):
        raise not_in_redshift("WINDOW")
    frame = node.args.get("spec")
    if frame is not None:
        _frame(frame)
    call = node.find(exp.Anonymous)
    # https://docs.aws.amazon.com/redshift/latest/dg/c_Window_functions.html; message as seen on a cluster
    if node.args.get("order") and frame is None and call is not None and call.name.upper() in _NEEDS_FRAME:
        raise RedshiftError("Aggregate window functions with an ORDER BY clause require a frame clause")


def _frame(frame: exp.WindowSpec) -> None:
    if (frame.args.get("kind") or "").upper() != "ROWS":
        raise not_in_redshift(f"{frame.args.get('kind')} in a window frame (only ROWS can be used)")
    if frame.args.get("exclude"):
        raise not_in_redshift("EXCLUDE in the frame of a window")


def _ordered_call(node: exp.Order) -> None:
    if isinstance(node.parent, (exp.Anonymous, exp.Distinct)):
        raise not_in_redshift("ORDER BY among the arguments of a function")


def _update(node: exp.Update) -> None:
    for assignment in node.expressions:
        if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Tuple):
            raise not_in_redshift("SET (a, b) = ..., which sets several columns at once")


def _into(node: exp.Into) -> None:
    if node.args.get("unlogged"):
        raise not_in_redshift("UNLOGGED")


def _parameter(node: exp.Parameter) -> None:
    if not node.name.isdigit():
        raise SyntaxRefused(f'syntax error at or near "{node.sql()}"')


def _join(node: exp.Join) -> None:
    if (node.kind or "").upper() in ("SEMI", "ANTI") or node.method in ("ASOF",) or node.args.get("match_condition"):
        raise not_in_redshift(f"{node.kind or node.method} JOIN")


def _identifier(node: exp.Identifier) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_names.html: names may have up to 127 bytes, but PostgreSQL
    # truncates them at 63
    if len(node.this.encode()) > 127:
        raise SyntaxRefused(f"the name {node.this[:20]}... is longer than 127 bytes")
    if len(node.this.encode()) > 63:
        raise not_supported(f"names longer than 63 bytes: {node.this}")


def _column(node: exp.Column) -> None:
    if node.args.get("join_mark"):
        raise not_supported("the outer join operator (+)")


def _adjacent_strings(node: exp.Concat) -> None:
    # string literals separated only by a newline form one string
    node.replace(exp.Literal.string("".join(part.name for part in node.expressions)))


def _limit(node: exp.Limit) -> None:
    options = node.args.get("limit_options")
    if options is not None:
        raise not_supported("LIMIT with options")


_RULES: dict[type[exp.Expr], Callable[..., None]] = {
    exp.Select: _select,
    exp.Table: _table,
    exp.Values: _values,
    exp.With: _with,
    exp.CTE: _cte,
    exp.Window: _window,
    exp.Order: _ordered_call,
    exp.Update: _update,
    exp.Into: _into,
    exp.Parameter: _parameter,
    exp.Join: _join,
    exp.Identifier: _identifier,
    exp.Limit: _limit,
    exp.Column: _column,
    exp.Concat: _adjacent_strings,
}
