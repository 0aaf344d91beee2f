"""Translate window functions, ordered aggregates and QUALIFY.

https://docs.aws.amazon.com/redshift/latest/dg/c_Window_functions.html
"""

from collections.abc import Callable

from sqlglot import exp

from local_redshift.errors import RedshiftError, not_supported
from local_redshift.sql.relations import Scopes
from local_redshift.sql.types import text_of


def rewrite(nodes: list[exp.Expr]) -> None:
    """Rewrite LISTAGG, percentiles, RATIO_TO_REPORT and IGNORE NULLS for PostgreSQL."""
    for call in nodes:
        if isinstance(call, exp.Anonymous) and call.name.upper() in _RULES:
            _RULES[call.name.upper()](call)


def _around(call: exp.Anonymous) -> tuple[exp.Expr, exp.Window | None, list[exp.Expr]]:
    """Return the outermost node that wraps a call, its OVER window, and its WITHIN GROUP ordering."""
    whole: exp.Expr = call
    ordered: list[exp.Expr] = []
    while isinstance(whole.parent, (exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)) and whole.arg_key == "this":
        whole = whole.parent
        if isinstance(whole, exp.WithinGroup):
            ordered = whole.expression.expressions
    if isinstance(whole.parent, exp.Window) and whole.arg_key == "this":
        return whole.parent, whole.parent, ordered
    return whole, None, ordered


def _listagg(call: exp.Anonymous) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_LISTAGG.html: NULLs are ignored; the result is NULL if
    # there are no other values
    whole, window, ordered = _around(call)
    is_distinct = bool(call.expressions) and isinstance(call.expressions[0], exp.Distinct)
    given = call.expressions[0].expressions if is_distinct else call.expressions
    if not 1 <= len(given) <= 2:
        raise RedshiftError("LISTAGG takes an expression and an optional delimiter")
    value = given[0]
    delimiter = text_of(given[1].copy()) if len(given) == 2 else exp.Literal.string("")
    if window is not None:
        if is_distinct:
            raise not_supported("LISTAGG(DISTINCT ...) OVER")
        joined = exp.Anonymous(this="pg_catalog.string_agg", expressions=[text_of(value.copy()), delimiter])
        whole.replace(
            _over(joined, window, [term.copy() for term in ordered], "UNBOUNDED PRECEDING", "UNBOUNDED FOLLOWING")
        )
        return
    item: exp.Expr = exp.Distinct(expressions=[value.copy()]) if is_distinct else value.copy()
    if ordered:
        item = exp.Order(this=item, expressions=[term.copy() for term in ordered])
    is_given = exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null()))
    collected = exp.Filter(
        this=exp.Anonymous(this="pg_catalog.array_agg", expressions=[item]), expression=exp.Where(this=is_given)
    )
    whole.replace(exp.Anonymous(this="pg_catalog.array_to_string", expressions=[collected, delimiter]))


def _over(call: exp.Expr, window: exp.Window, ordered: list[exp.Expr], start: str, end: str) -> exp.Window:
    """Return `call` over `window`'s partitions, with the given order and ROWS frame."""
    (start_value, start_side), (end_value, end_side) = (bound.rsplit(" ", 1) for bound in (start, end))
    return exp.Window(
        this=call,
        partition_by=[term.copy() for term in window.args.get("partition_by") or []],
        order=exp.Order(expressions=ordered) if ordered else None,
        spec=exp.WindowSpec(kind="ROWS", start=start_value, start_side=start_side, end=end_value, end_side=end_side),
        over="OVER",
    )


def _percentile(call: exp.Anonymous) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_WF_PERCENTILE_CONT.html: not a window function in
    # PostgreSQL
    _, window, ordered = _around(call)
    if window is None:
        return
    if len(ordered) != 1 or len(call.expressions) != 1:
        raise RedshiftError(f"{call.name.upper()} takes one number and WITHIN GROUP (ORDER BY one expression)")
    name = f"local_redshift.{call.name.lower()}_window"
    numbers: exp.Expr = exp.Cast(this=ordered[0].this.copy(), to=exp.Var(this="pg_catalog.numeric"))
    is_descending = bool(ordered[0].args.get("desc"))
    if is_descending:
        numbers = exp.Neg(this=numbers)
    window.set("this", exp.Anonymous(this=name, expressions=[numbers, call.expressions[0].copy()]))
    if is_descending:
        window.replace(exp.Neg(this=window.copy()))


def _ratio_to_report(call: exp.Anonymous) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_WF_RATIO_TO_REPORT.html
    whole, window, _ = _around(call)
    if window is None or len(call.expressions) != 1:
        raise RedshiftError("RATIO_TO_REPORT takes one expression, and OVER")
    value = exp.Cast(this=call.expressions[0].copy(), to=exp.Var(this="pg_catalog.float8"))
    window.set("this", exp.Anonymous(this="sum", expressions=[value.copy()]))
    total = exp.Anonymous(this="nullif", expressions=[window.copy(), exp.Literal.number(0)])
    whole.replace(exp.Paren(this=exp.Div(this=value, expression=total)))


def _ignore_nulls(call: exp.Anonymous) -> None:
    """Rewrite IGNORE NULLS in FIRST_VALUE, LAST_VALUE, LAG and LEAD for PostgreSQL.

    https://docs.aws.amazon.com/redshift/latest/dg/r_WF_first_value.html, r_WF_LAG.html
    """
    _, window, _ = _around(call)
    given = call.expressions
    inner = given[0] if given and isinstance(given[0], (exp.IgnoreNulls, exp.RespectNulls)) else None
    outer = call.parent if isinstance(call.parent, (exp.IgnoreNulls, exp.RespectNulls)) else None
    option = inner or outer
    if option is None or window is None:
        return
    name = call.name.upper()
    if not given:
        raise RedshiftError(f"{name} needs an expression")
    value = inner.this.copy() if inner is not None else given[0].copy()
    if isinstance(option, exp.RespectNulls):
        window.set("this", exp.Anonymous(this=call.this, expressions=[value, *(one.copy() for one in given[1:])]))
        return
    if name == "NTH_VALUE" or len(given) > 2 or (len(given) == 2 and given[1].name != "1"):
        raise not_supported(f"IGNORE NULLS of {name} with more than one argument")
    ours = exp.Anonymous(
        this=f"local_redshift.{'first' if name in ('FIRST_VALUE', 'LEAD') else 'last'}_not_null", expressions=[value]
    )
    if name in ("FIRST_VALUE", "LAST_VALUE"):
        window.set("this", ours)
        return
    order = window.args.get("order")
    ordered = [term.copy() for term in order.expressions] if order is not None else []
    bounds = ("UNBOUNDED PRECEDING", "1 PRECEDING") if name == "LAG" else ("1 FOLLOWING", "UNBOUNDED FOLLOWING")
    window.replace(_over(ours, window, ordered, *bounds))


_RULES: dict[str, Callable[[exp.Anonymous], None]] = {
    "LISTAGG": _listagg,
    "PERCENTILE_CONT": _percentile,
    "PERCENTILE_DISC": _percentile,
    "RATIO_TO_REPORT": _ratio_to_report,
    **dict.fromkeys(("FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "LAG", "LEAD"), _ignore_nulls),
}


def qualified(select: exp.Select, scopes: Scopes) -> exp.Select:
    """Rewrite a SELECT with QUALIFY as a SELECT from a subquery.

    https://docs.aws.amazon.com/redshift/latest/dg/r_QUALIFY_clause.html
    """
    columns = _columns(select, scopes)
    _group_by_number(select, columns, scopes)
    inner_items = [exp.alias_(value.copy(), f"c{n}") for n, (_, value) in enumerate(columns)]
    outer = exp.Select(
        expressions=[exp.alias_(exp.column(f"c{n}"), name) for n, (name, _) in enumerate(columns)],
    )
    if select.args.get("order") is not None:
        inner_items += _ordering(select.args["order"], [name for name, _ in columns])
    for clause in ("with_", "distinct", "order", "limit", "offset", "into"):
        if select.args.get(clause) is not None:
            outer.set(clause, select.args[clause])
            select.set(clause, None)
    condition = select.args["qualify"].this
    select.set("qualify", None)
    value, test = _tested(condition)
    outer.set("where", exp.Where(this=test))
    select.set("expressions", [*inner_items, exp.alias_(exp.Paren(this=value), "qualifying")])
    parent = select.parent
    if parent is not None:
        select.replace(outer)
    outer.set(
        "from_", exp.From(this=exp.Subquery(this=select, alias=exp.TableAlias(this=exp.to_identifier("qualified"))))
    )
    return outer


def _tested(condition: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    """Split a QUALIFY condition into an inner expression and an outer condition.

    If the condition compares a window function with a number, the comparison goes into the outer WHERE, so that
    PostgreSQL can stop numbering a partition's rows early.
    """
    given = exp.column("qualifying")
    is_comparison = isinstance(condition, (exp.EQ, exp.LT, exp.LTE))
    if is_comparison and isinstance(condition.this, exp.Window) and isinstance(condition.expression, exp.Literal):
        return condition.this, type(condition)(this=given, expression=condition.expression.copy())
    return condition, given


def _columns(select: exp.Select, scopes: Scopes) -> list[tuple[str, exp.Expr]]:
    """Return the name and expression of each SELECT item, with stars expanded."""
    columns: list[tuple[str, exp.Expr]] = []
    for item in select.expressions:
        if not item.is_star:
            columns.append((item.alias_or_name, item.unalias()))
            continue
        expanded = scopes.expanded(select, item)
        if expanded is None:
            raise not_supported("QUALIFY with SELECT * from a table whose columns are not known")
        columns += [(name, exp.column(name, table=source or None)) for source, name, _ in expanded]
    return columns


def _ordering(order: exp.Order, names: list[str]) -> list[exp.Expr]:
    """Make ORDER BY use columns of the inner SELECT; return the ones to add to it."""
    given: list[exp.Expr] = []
    for term in order.expressions:
        value = term.this
        if isinstance(value, exp.Column) and not value.table and value.name in names:
            value.replace(exp.column(f"c{names.index(value.name)}"))
        elif not (isinstance(value, exp.Literal) and not value.is_string):
            given.append(exp.alias_(value.copy(), f"o{len(given)}"))
            value.replace(exp.column(given[-1].alias))
    return given


def _group_by_number(select: exp.Select, columns: list[tuple[str, exp.Expr]], scopes: Scopes) -> None:
    """Replace aliases in GROUP BY with item numbers, because the items are renamed."""
    group = select.args.get("group")
    names = [name for name, _ in columns]
    for term in list(group.expressions) if group is not None else []:
        is_alias = isinstance(term, exp.Column) and not term.table and scopes.column(select, term.name) is None
        if is_alias and term.name in names:
            term.replace(exp.Literal.number(names.index(term.name) + 1))
