"""Resolve names and aliases as Redshift does.

https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
"""

from sqlglot import exp

from local_redshift.errors import RedshiftError, SyntaxRefused, not_supported
from local_redshift.sql import grammar
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.relations import Scopes, cte_named, from_items

# https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html: reserved words that PostgreSQL accepts as names
RESERVED = frozenset(
    "AES128 AES256 ALLOWOVERWRITE BACKUP BLANKSASNULL BYTEDICT BZIP2 CREDENTIALS DEFLATE DEFRAG DELTA DELTA32K "
    "DISABLE EMPTYASNULL ENABLE ENCODE ENCRYPT ENCRYPTION EXPLICIT GLOBALDICT256 GLOBALDICT64K GZIP IDENTITY "
    "IGNORE LANGUAGE LUN LUNS LZO LZOP MINUS MOSTLY8 MOSTLY16 MOSTLY32 NEW NULLS OFF OFFLINE OLD OPEN PARALLEL "
    "PARTITION PERCENT PERMISSIONS RAW READRATIO RECOVER REJECTLOG RESORT RESPECT RESTORE SNAPSHOT START SYSTEM "
    "TAG TDES TEXT255 TEXT32K TIMESTAMP TOP TRUNCATECOLUMNS UNPIVOT WALLET WITHOUT".split()
)

# reserved, but accepted unquoted as a column name, as in a table listed in a cluster's svv_table_info
BARE_COLUMNS = ("TIMESTAMP",)
# column names that, if unquoted, cause a syntax error before a comma in a SELECT list or ORDER BY (observed)
NOT_BEFORE_COMMA = {"TIMESTAMP": exp.Select, "DATETIME": exp.Select, "TIME": exp.Order}

# these and PostgreSQL's own reserved words must be quoted to be used as names
RESERVED_AS_NAMES = RESERVED | frozenset(
    "ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC AUTHORIZATION BETWEEN BINARY BOTH CASE CAST CHECK COLLATE COLUMN "
    "CONSTRAINT CREATE CROSS CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEFAULT DEFERRABLE DESC "
    "DISTINCT DO ELSE END EXCEPT FALSE FOR FOREIGN FREEZE FROM FULL GRANT GROUP HAVING ILIKE IN INITIALLY INNER "
    "INTERSECT INTO IS ISNULL JOIN LEADING LEFT LIKE LIMIT LOCALTIME LOCALTIMESTAMP NATURAL NOT NOTNULL NULL "
    "OFFSET ON ONLY OR ORDER OUTER OVERLAPS PLACING PRIMARY REFERENCES RIGHT SELECT SESSION_USER SIMILAR SOME "
    "TABLE THEN TO TRAILING TRUE UNION UNIQUE USER USING VERBOSE WHEN WHERE WITH".split()
)

# names that look like columns but are functions or keywords, with their SQL
_VALUES = {
    "sysdate": "local_redshift.sysdate()",
    "default": "DEFAULT",
    "current_date": "CURRENT_DATE",
    "current_user": "CURRENT_USER",
    "session_user": "SESSION_USER",
    "user": "CURRENT_USER",
    "current_user_id": "100",
    **{name: name.upper() for name in ("current_time", "current_timestamp", "localtime", "localtimestamp")},
}


_AGGREGATES = frozenset(
    "ANY_VALUE AVG BIT_AND BIT_OR BOOL_AND BOOL_OR COUNT LISTAGG MAX MEDIAN MIN PERCENTILE_CONT PERCENTILE_DISC STDDEV "
    "STDDEV_POP STDDEV_SAMP SUM VARIANCE VAR_POP VAR_SAMP".split()
)


_TAKE_A_PART = frozenset("DATEADD DATE_ADD DATEDIFF DATE_DIFF DATE_PART DATEPART DATE_TRUNC".split())


def fold(nodes: list[exp.Expr], catalog: Catalog) -> None:
    """Fold all names to lower case, as with enable_case_sensitive_identifier off.

    Drop the current database from three-part names. Raise SyntaxRefused for a reserved word used as a name, and
    NotSupported for a table in another database.
    """
    for node in nodes:
        if isinstance(node, exp.Identifier):
            _fold_name(node)
        elif isinstance(node, (exp.Table, exp.Column)) and node.args.get("catalog") is not None:
            database = node.text("catalog").lower()
            if database != catalog.database:
                raise not_supported(f"tables of another database: {database}.{node.text('db')}")
            node.set("catalog", None)


def _check_bare(name: exp.Identifier) -> None:
    """Raise SyntaxRefused if an unquoted name needs quotes."""
    word, column = name.this.upper(), name.parent
    if word in RESERVED and word not in BARE_COLUMNS and not isinstance(column, (exp.Alias, exp.TableAlias)):
        raise SyntaxRefused(f'syntax error at or near "{name.this}": it is a reserved word; put it in double quotes')
    if word in NOT_BEFORE_COMMA and isinstance(column, exp.Column) and not column.table:
        item = column.parent if isinstance(column.parent, exp.Ordered) else column
        listed = item.parent
        if not isinstance(listed, NOT_BEFORE_COMMA[word]) or isinstance(listed.parent, exp.Window):
            return
        has_direction = item.args.get("desc") is not None  # ASC or DESC stands between the name and the comma
        if item in listed.expressions[:-1] and not has_direction:
            raise SyntaxRefused(f'syntax error at or near ",": put {name.this} in double quotes')


def _fold_name(name: exp.Identifier) -> None:
    if not name.quoted:
        _check_bare(name)
    column = name.parent
    if isinstance(column, exp.Column) and not name.quoted and not column.table:
        value = _VALUES.get(name.this.lower())
        if value is not None:
            column.replace(exp.Var(this=value))
            return
    name.set("this", name.this.lower())


def late_binding_views(tree: exp.Expr, catalog: Catalog) -> bool:
    """Replace late-binding views with their queries; return whether any were replaced."""
    found = False
    for table in list(tree.find_all(exp.Table)) if catalog.has_late_binding_views else []:
        is_read = isinstance(table.this, exp.Identifier) and not _is_written_to(table) and cte_named(table) is None
        query = catalog.late_binding_view(table.db, table.name) if is_read else None
        if query is not None:
            view = grammar.parse(query)
            fold(list(view.walk()), catalog)
            late_binding_views(view, catalog)
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
            table.replace(exp.Subquery(this=view, alias=alias))
            found = True
    return found


def _may_be_real(name: str, select: exp.Select, scopes: Scopes) -> bool:
    """Return whether a name may be a column of the tables in FROM, here or in an enclosing query."""
    around: exp.Select | None = select
    while around is not None:
        if any(columns is None or name in columns for columns in scopes.sources(around).values()):
            return True
        around = _enclosing(around)
    return False


def _enclosing(select: exp.Select) -> exp.Select | None:
    """Return the enclosing query; None for a subquery in FROM or WITH."""
    node: exp.Expr = select
    while isinstance(node.parent, (exp.SetOperation, exp.Subquery)):
        node = node.parent
    if isinstance(node.parent, (exp.From, exp.Join, exp.CTE)):
        return None
    return node.find_ancestor(exp.Select)


def check_correlation(nodes: list[exp.Expr]) -> None:
    """Raise RedshiftError if a subquery refers to a table more than one level up.

    https://docs.aws.amazon.com/redshift/latest/dg/r_correlated_subqueries.html, "Correlated subquery patterns that are
    not supported": references that skip a level.
    """
    for column in nodes:
        if not isinstance(column, exp.Column) or not column.table:
            continue
        select = column.find_ancestor(exp.Select)
        levels = 0
        while select is not None and column.table not in _names_of_sources(select):
            select = select.find_ancestor(exp.Select)
            levels += 1
        if select is not None and levels > 1:
            raise RedshiftError("This type of correlated subquery pattern is not supported yet")


def _names_of_sources(select: exp.Select) -> set[str]:
    return {item.alias_or_name for item in from_items(select)}


def _is_written_to(table: exp.Table) -> bool:
    return table.arg_key == "this" and isinstance(
        table.parent, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Schema)
    )


def leave_out(selects: list[exp.Select], scopes: Scopes) -> bool:
    """Apply the EXCLUDE clauses of SELECT lists; return whether there were any.

    https://docs.aws.amazon.com/redshift/latest/dg/r_EXCLUDE_list.html: EXCLUDE applies to the whole SELECT list
    """
    found = False
    for select in selects:
        excluded = {column.name for column in select.args.get("exclude") or []} | _after_star(select)
        if excluded:
            _leave_out(select, excluded, scopes)
            found = True
    return found


def _after_star(select: exp.Select) -> set[str]:
    """Remove and return the EXCLUDE columns after a star.

    All SELECT items after EXCLUDE count as excluded, because the list needs no parentheses.
    """
    for n, item in enumerate(select.expressions):
        star = item.this if isinstance(item, exp.Column) else item
        first = star.args.get("except_") if isinstance(star, exp.Star) else None
        if first:
            listed = [*first, *select.expressions[n + 1 :]]
            if not all(isinstance(column, exp.Column) and not column.table for column in listed):
                raise SyntaxRefused("EXCLUDE takes names of columns, and ends the SELECT list")
            select.set("expressions", select.expressions[: n + 1])
            return {column.name for column in listed}
    return set()


def group_by_all(select: exp.Select) -> None:
    """Expand GROUP BY ALL to the SELECT items without aggregates or window functions.

    https://docs.aws.amazon.com/redshift/latest/dg/r_GROUP_BY_clause.html
    """
    if any(item.is_star for item in select.expressions):
        raise not_supported("GROUP BY ALL with SELECT *")
    grouped = [n for n, item in enumerate(select.expressions, start=1) if not _holds_aggregate(item)]
    select.set("group", exp.Group(expressions=[exp.Literal.number(n) for n in grouped]) if grouped else None)


def _holds_aggregate(item: exp.Expr) -> bool:
    # window functions are computed after grouping, so GROUP BY can't contain them
    return item.find(exp.Window) is not None or any(
        call.name.upper() in _AGGREGATES for call in item.find_all(exp.Anonymous)
    )


def _leave_out(select: exp.Select, excluded: set[str], scopes: Scopes) -> None:
    kept: list[exp.Expr] = []
    for item in select.expressions:
        expanded = scopes.expanded(select, item) if item.is_star else None
        if item.is_star and expanded is None:
            raise not_supported("EXCLUDE with SELECT * from a table whose columns are not known")
        if expanded is not None:
            kept += [exp.column(name, table=source or None) for source, name, _ in expanded if name not in excluded]
        elif item.alias_or_name not in excluded:
            kept.append(item)
    select.set("exclude", None)
    select.set("expressions", kept)


def resolve_aliases(selects: list[exp.Select], scopes: Scopes) -> bool:
    """Replace references to aliases of the same SELECT with their expressions.

    Real columns take precedence. Return whether anything was replaced.
    https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_list.html, r_WHERE_clause.html
    """
    changed = False
    for select in reversed(selects):
        given = {item.alias for item in select.expressions if isinstance(item, exp.Alias)}
        used = {column.name for column in select.find_all(exp.Column) if not column.table} if given else set()
        if given & used:
            changed = _resolve_in(select, scopes) or changed
    return changed


def _resolve_in(select: exp.Select, scopes: Scopes) -> bool:
    aliases: dict[str, exp.Expr] = {}
    changed = False
    for item in select.expressions:
        value = item.this if isinstance(item, exp.Alias) else item
        changed = _replace_aliases(value, select, aliases, scopes) or changed
        if isinstance(item, exp.Alias):
            aliases.setdefault(item.alias, item.this)
    for clause in ("where", "having", "qualify"):
        if select.args.get(clause) is not None:
            changed = _replace_aliases(select.args[clause].this, select, aliases, scopes) or changed
    for clause in ("group", "order"):
        for term in select.args[clause].expressions if select.args.get(clause) is not None else []:
            value = term.this if isinstance(term, exp.Ordered) else term
            if not isinstance(value, exp.Column):  # PostgreSQL resolves a bare name itself
                changed = _replace_aliases(value, select, aliases, scopes) or changed
    return changed


def _is_date_part(column: exp.Column) -> bool:
    """Return whether an apparent column is a date part, as in DATEADD(day, 1, ts)."""
    call = column.parent
    return isinstance(call, exp.Anonymous) and call.name.upper() in _TAKE_A_PART and call.expressions[0] is column


def _replace_aliases(node: exp.Expr, select: exp.Select, aliases: dict[str, exp.Expr], scopes: Scopes) -> bool:
    changed = False
    for column in list(node.find_all(exp.Column)) if aliases else []:
        meant = None if column.table else aliases.get(column.name)
        if meant is None or _is_date_part(column) or column.find_ancestor(exp.Select) is not select:
            continue
        if _may_be_real(column.name, select, scopes):
            continue
        copied = meant.copy()
        column.replace(
            copied if isinstance(copied, (exp.Column, exp.Literal, exp.Anonymous)) else exp.Paren(this=copied)
        )
        changed = True
    return changed
