"""Columns and types of the tables that a statement names."""

from collections.abc import Callable

from sqlglot import exp

from local_redshift.sql.catalog import MOMENT, OTHER, TEXT, WHOLE, Catalog, Columns, ColumnType
from local_redshift.sql.types import POSTGRES_TYPES


class Scopes:
    """The columns visible to each SELECT of a statement, looked up lazily."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, str], Columns | None] = {}
        # keyed by the id() of the SELECT node, which is unique while the statement's nodes exist
        self._sources: dict[int, dict[str, Columns | None]] = {}
        self._outputs: dict[int, Columns | None] = {}

    def sources(self, select: exp.Select) -> dict[str, Columns | None]:
        """Map the alias of each table in FROM to its columns, or to None if unknown."""
        if id(select) not in self._sources:
            self._sources[id(select)] = {}  # ends the recursion if a query refers to itself
            self._sources[id(select)] = self._find_sources(select)
        return self._sources[id(select)]

    def _find_sources(self, select: exp.Select) -> dict[str, Columns | None]:
        found: dict[str, Columns | None] = {}
        for item in from_items(select):
            found[item.alias_or_name or f"({len(found)})"] = self._columns_of(item)
            for join in item.args.get("joins") or []:
                found[join.this.alias_or_name] = self._columns_of(join.this)
        return found

    def column(self, select: exp.Select, name: str) -> ColumnType | None:
        """Return the type of a column in FROM; None if there is no such column."""
        for columns in self.sources(select).values():
            if columns is not None and name in columns:
                return columns[name]
        return None

    def output(self, query: exp.Expr) -> Columns | None:
        """Return the output columns of a query; None if they are not known."""
        while isinstance(query, (exp.Subquery, exp.SetOperation)):
            query = query.this
        if not isinstance(query, exp.Select):
            return None
        if id(query) not in self._outputs:
            self._outputs[id(query)] = None
            self._outputs[id(query)] = self._find_output(query)
        return self._outputs[id(query)]

    def _find_output(self, query: exp.Select) -> Columns | None:
        given: Columns = {}
        for n, item in enumerate(query.expressions):
            if item.is_star:
                expanded = self.expanded(query, item)
                if expanded is None:
                    return None
                given.update((name, kind) for _, name, kind in expanded)
            else:
                given[item.alias_or_name or f"?column?{n}"] = self.type_of(item.unalias()) or ColumnType("unknown")
        return given

    def expanded(self, select: exp.Select, star: exp.Expr) -> list[tuple[str, str, ColumnType]] | None:
        """Expand a star to (source, name, type) tuples; None if the columns are unknown."""
        only = star.text("table") if isinstance(star, exp.Column) else ""
        listed: list[tuple[str, str, ColumnType]] = []
        merged = set() if only else _merged_columns(select)
        for source, columns in self.sources(select).items():
            if only and source != only:
                continue
            if columns is None or merged is None:
                return None
            known = {name for _, name, _ in listed}
            # if a FROM item has neither a name nor an alias, its columns can't be qualified
            shown = "" if source.startswith("(") else source
            listed += [(shown, name, kind) for name, kind in columns.items() if not (name in merged and name in known)]
        # the columns that USING merges come first
        first = [("", name, kind) for _, name, kind in listed if name in (merged or ())]
        return first + [item for item in listed if item[1] not in (merged or ())]

    def _columns_of(self, item: exp.Expr) -> Columns | None:
        alias = item.args.get("alias")
        columns = self._unnamed_columns(item)
        names = [name.name for name in alias.args.get("columns") or []] if isinstance(alias, exp.TableAlias) else []
        if names and columns is None and not isinstance(item.this, exp.Identifier):
            return dict.fromkeys(names, ColumnType("unknown"))  # a function's column aliases; their types are unknown
        if names and columns is not None:
            return dict(zip([*names, *list(columns)[len(names) :]], columns.values(), strict=True))
        return columns

    def _unnamed_columns(self, item: exp.Expr) -> Columns | None:
        if isinstance(item, exp.Subquery):
            return self.output(item.this)
        if not isinstance(item, exp.Table) or not isinstance(item.this, exp.Identifier):
            return None
        if not item.db:
            cte = cte_named(item)
            if cte is not None:
                return self._columns_of_cte(cte, item)
        key = (item.db, item.name)
        if key not in self._known:
            self._known[key] = self._catalog.columns(*key)
        return self._known[key]

    def _columns_of_cte(self, cte: exp.CTE, item: exp.Table) -> Columns | None:
        if item.find_ancestor(exp.CTE) is cte:  # a recursive CTE takes its columns from the first part of the UNION
            first = cte.this.this if isinstance(cte.this, exp.Union) else None
            columns = self.output(first) if first is not None and not _is_within(item, first) else None
        else:
            columns = self.output(cte.this)
        names = [name.name for name in cte.args["alias"].args.get("columns") or []]
        if columns is None or not names:
            return columns
        return dict(zip(names, columns.values(), strict=False))

    def type_of(self, node: exp.Expr) -> ColumnType | None:
        """Return the type of an expression if it can be inferred, otherwise None."""
        rule = _TYPE_RULES.get(type(node))
        return rule(self, node) if rule is not None else None

    def _of_column(self, node: exp.Column) -> ColumnType | None:
        select = node.find_ancestor(exp.Select)
        while select is not None:
            sources = self.sources(select)
            if node.table:
                columns = sources.get(node.table)
                if node.table in sources:
                    return (columns or {}).get(node.name)
            else:
                found = self.column(select, node.name)
                if found is not None:
                    return found
            select = select.find_ancestor(exp.Select)
        return self._of_written_table(node)

    def _of_written_table(self, node: exp.Column) -> ColumnType | None:
        """Look up a column's type in the tables of the enclosing UPDATE, DELETE or MERGE."""
        statement = node.find_ancestor(exp.Update, exp.Delete, exp.Merge)
        if statement is None:
            return None
        beside = statement.args.get("from_") or statement.args.get("using")
        items = [statement.this, *(beside if isinstance(beside, list) else [beside])]
        for item in items:
            source = item.this if isinstance(item, exp.From) else item
            if source is not None and node.table in ("", source.alias_or_name):
                found = (self._columns_of(source) or {}).get(node.name)
                if found is not None:
                    return found
        return None

    def _of_literal(self, node: exp.Literal) -> ColumnType | None:
        if node.is_string:
            return None
        digits = node.this
        if digits.isdigit():
            return ColumnType("int4" if int(digits) < 1 << 31 else "int8")
        if "e" in digits.lower():
            return ColumnType("float8")
        whole, _, fraction = digits.partition(".")
        return ColumnType("numeric", max(1, len(whole.lstrip("0")) + len(fraction)), len(fraction))

    def _of_cast(self, node: exp.Cast) -> ColumnType | None:
        if isinstance(node.to, exp.Var):
            return _written_type(node.to.name)
        kind = node.to.this
        if kind == exp.DType.DECIMAL:
            sizes = [int(size.name) for size in node.to.expressions if size.name.isdigit()]
            return ColumnType("numeric", sizes[0] if sizes else 18, sizes[1] if len(sizes) > 1 else 0)
        name = POSTGRES_TYPES.get(kind)
        return ColumnType(name) if name else None

    def _of_arithmetic(self, node: exp.Binary) -> ColumnType | None:
        left, right = self.type_of(node.this), self.type_of(node.expression)
        if left is None or right is None or MOMENT in (left.kind, right.kind) or OTHER in (left.kind, right.kind):
            return None
        if left.name.startswith("float") or right.name.startswith("float"):
            return ColumnType("float8")
        if left.name in WHOLE and right.name in WHOLE:
            return max(left, right, key=lambda one: WHOLE[one.name])
        first, second = left.as_decimal, right.as_decimal
        if first is None or second is None:
            return ColumnType("numeric")
        return ColumnType("numeric", *decimal_result(type(node), first, second))

    def _of_inner(self, node: exp.Expr) -> ColumnType | None:
        return self.type_of(node.this)

    def _of_text(self, node: exp.Expr) -> ColumnType | None:
        return ColumnType("text")

    def _of_text_or_bytes(self, node: exp.Expr) -> ColumnType | None:
        """Return the type of `||` or SUBSTRING: VARBYTE if all inputs are, otherwise text."""
        sides = [node.this, node.expression] if isinstance(node, exp.DPipe) else [node.this]
        return self._bytes_or_text(sides)

    def _bytes_or_text(self, nodes: list[exp.Expr]) -> ColumnType:
        kinds = {kind.name if (kind := self.type_of(node)) is not None else "" for node in nodes}
        return ColumnType("bytea" if kinds == {"bytea"} else "text")

    def _of_case(self, node: exp.Case) -> ColumnType | None:
        results = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
        return self.common([result for result in results if result is not None])

    def common(self, nodes: list[exp.Expr]) -> ColumnType | None:
        """Return the common type: text if any expression is text, else the first known."""
        types = [kind for kind in map(self.type_of, nodes) if kind is not None]
        return next((kind for kind in types if kind.kind == TEXT), types[0] if types else None)

    def _of_call(self, node: exp.Anonymous) -> ColumnType | None:
        name = node.name.rpartition(".")[2].upper()
        if name in ("COALESCE", "NVL", "GREATEST", "LEAST"):
            return self.common(node.expressions)
        if name in ("MIN", "MAX", "ABS", "NULLIF", "ANY_VALUE") and node.expressions:
            return self.type_of(node.expressions[0])
        if name in ("CONCAT", "SUBSTR", "SUBSTRING"):
            return self._bytes_or_text(node.expressions[: 2 if name == "CONCAT" else 1])
        if name == "TRUNC" and len(node.expressions) == 2:
            inner, places = self.type_of(node.expressions[0]), node.expressions[1].name
            is_decimal = inner is not None and inner.name == "numeric" and places.isdigit()
            return ColumnType("numeric", 38, int(places)) if is_decimal else inner
        if name == "SUM" and node.expressions:
            return self._of_sum(node.expressions[0])
        return _CALL_TYPES.get(name)

    def _of_sum(self, argument: exp.Expr) -> ColumnType | None:
        kind = self.type_of(argument)
        if kind is None:
            return None
        if kind.name in WHOLE:
            return ColumnType("int8")
        return ColumnType("numeric", 38, kind.scale) if kind.name == "numeric" else ColumnType("float8")

    def _of_subquery(self, node: exp.Subquery) -> ColumnType | None:
        columns = self.output(node.this)
        return next(iter(columns.values()), None) if columns else None


def from_items(select: exp.Select) -> list[exp.Expr]:
    """Return the FROM items of a SELECT, including joined ones."""
    start = select.args.get("from_")
    first = [start.this] if start is not None else []
    return first + [join.this for join in select.args.get("joins") or []]


def _merged_columns(select: exp.Select) -> set[str] | None:
    """Return the columns that USING merges; None for a NATURAL JOIN, which lists none."""
    joins = select.args.get("joins") or []
    if any(join.method == "NATURAL" for join in joins):
        return None
    return {column.name for join in joins for column in join.args.get("using") or []}


def cte_named(item: exp.Table) -> exp.CTE | None:
    """Return the innermost CTE in scope that a table name refers to, or None."""
    node: exp.Expr | None = item
    while node is not None:
        clause = node.args.get("with_")
        seen = [] if clause is None else clause.expressions
        if clause is not None and not clause.args.get("recursive"):
            # without RECURSIVE, a CTE can only refer to earlier ones
            around = next((n for n, cte in enumerate(seen) if _is_within(item, cte)), len(seen))
            seen = seen[:around]
        found: exp.CTE | None = next((cte for cte in reversed(seen) if cte.alias == item.name), None)
        if found is not None:
            return found
        node = node.parent
    return None


def _is_within(node: exp.Expr, ancestor: exp.Expr) -> bool:
    above: exp.Expr | None = node
    while above is not None and above is not ancestor:
        above = above.parent
    return above is ancestor


def decimal_result(operation: type[exp.Expr], first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """Return the precision and scale of an operation on two decimals.

    https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
    """
    (p1, s1), (p2, s2) = first, second
    if operation is exp.Mul:
        scale = s1 + s2
        precision = p1 + p2 + 1
    elif operation is exp.Div:
        scale = max(4, s1 + p2 - s2 + 1)
        precision = p1 - s1 + s2 + scale
    else:
        scale = max(s1, s2)
        precision = max(p1 - s1, p2 - s2) + 1 + scale
    if precision > 38 and operation is exp.Div:
        scale = max(38 + scale - precision, min(4, scale))
    return min(precision, 38), min(scale, 38)


def _written_type(name: str) -> ColumnType:
    """Parse a type that is already in PostgreSQL's notation."""
    base, _, sizes = name.removeprefix("pg_catalog.").partition("(")
    numbers = [int(size) for size in sizes.rstrip(")").split(",") if size.isdigit()]
    return ColumnType(base, *numbers) if base == "numeric" and len(numbers) == 2 else ColumnType(base)


_CALL_TYPES = {
    **dict.fromkeys(
        "LOWER UPPER TRIM BTRIM LTRIM RTRIM REPLACE SPLIT_PART LEFT RIGHT INITCAP LPAD RPAD REPEAT REVERSE CUT TO_CHAR "
        "REGEXP_REPLACE REGEXP_SUBSTR JSON_EXTRACT_PATH_TEXT TRANSLATE MD5 LISTAGG".split(),
        ColumnType("text"),
    ),
    **dict.fromkeys("LEN LENGTH CHARINDEX STRPOS REGEXP_COUNT DATE_PART_YEAR".split(), ColumnType("int4")),
    **dict.fromkeys("COUNT DATEDIFF ROW_NUMBER RANK DENSE_RANK".split(), ColumnType("int8")),
    **dict.fromkeys("GETDATE SYSDATE DATEADD DATE_TRUNC ADD_MONTHS".split(), ColumnType("timestamp")),
    **dict.fromkeys("LAST_DAY NEXT_DAY TO_DATE".split(), ColumnType("date")),
    **dict.fromkeys("FROM_HEX TO_VARBYTE VARBYTE".split(), ColumnType("bytea")),
}

_TYPE_RULES: dict[type[exp.Expr], Callable[..., ColumnType | None]] = {
    exp.Column: Scopes._of_column,
    exp.Literal: Scopes._of_literal,
    exp.Cast: Scopes._of_cast,
    exp.Paren: Scopes._of_inner,
    exp.Neg: Scopes._of_inner,
    exp.Alias: Scopes._of_inner,
    exp.Window: Scopes._of_inner,
    exp.WithinGroup: Scopes._of_inner,
    exp.DPipe: Scopes._of_text_or_bytes,
    exp.Trim: Scopes._of_text,
    exp.Substring: Scopes._of_text_or_bytes,
    exp.Case: Scopes._of_case,
    exp.Anonymous: Scopes._of_call,
    exp.Subquery: Scopes._of_subquery,
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod), Scopes._of_arithmetic),
}
