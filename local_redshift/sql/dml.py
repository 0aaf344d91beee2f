"""Translate SELECT, INSERT, UPDATE, DELETE and MERGE."""

from collections.abc import Callable

from sqlglot import exp

from local_redshift.errors import NoSuchTable, NotSupported, SyntaxRefused, not_in_redshift
from local_redshift.sql import functions, grammar, names, refusals, windows
from local_redshift.sql.catalog import Catalog
from local_redshift.sql.relations import Scopes, cte_named
from local_redshift.sql.system_queries import SYSTEM_PREFIXES
from local_redshift.sql.tokens import Token, code, code_indices, text

_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "local_redshift")


def translate_query(statement: list[Token], catalog: Catalog) -> str:
    """Translate a query. Raise NotSupported or SyntaxRefused if it is refused."""
    words = [token.word for token in code(statement)]
    if words[0] == "DELETE" and words[1:2] != ["FROM"]:
        # https://docs.aws.amazon.com/redshift/latest/dg/r_DELETE.html: FROM is optional
        after = statement.index(code(statement)[0]) + 1
        statement = [*statement[:after], Token("word", " FROM"), *statement[after:]]
    if words[0] == "MERGE" and words[-2:] == ["REMOVE", "DUPLICATES"]:
        return _merge_without_duplicates(statement, catalog)
    # add a space after each parameter: the grammar would read the $1,$ of $1,$2 as the start of a dollar-quoted string
    tree = grammar.parse("".join(f"{token.text} " if token.kind == "parameter" else token.text for token in statement))
    if isinstance(tree, exp.Merge):
        _name_inserted_columns(tree, catalog)
    return grammar.write(_rewritten(tree, catalog))


def translate_system_query(statement: list[Token], catalog: Catalog) -> str:
    """Translate a system catalog query: fold names and resolve column aliases.

    Allow a number as a condition, as in sqlalchemy-redshift's WHERE 1.
    """
    tree = grammar.parse(text(statement))
    nodes = list(tree.walk())
    names.fold(nodes, catalog)
    names.resolve_aliases([node for node in nodes if isinstance(node, exp.Select)], Scopes(catalog))
    for number in list(tree.find_all(exp.Literal)):
        if not number.is_string and isinstance(number.parent, (exp.Where, exp.And, exp.Or, exp.Not)):
            number.replace(exp.Boolean(this=number.this != "0"))
    return grammar.write(tree)


def translate_expression(sql: str, catalog: Catalog) -> str:
    """Translate an expression without columns, such as a DEFAULT."""
    tree = _rewritten(grammar.parse(f"SELECT {sql}"), catalog)
    return grammar.write(tree.expressions[0].unalias())


def _rewritten(tree: exp.Expr, catalog: Catalog) -> exp.Expr:
    nodes = list(tree.walk())
    refusals.check(nodes)
    names.fold(nodes, catalog)
    if names.late_binding_views(tree, catalog):
        nodes = list(tree.walk())
    names.check_correlation(nodes)
    scopes = Scopes(catalog)
    reads_tables = any(_is_of_a_user(node) for node in nodes if isinstance(node, exp.Table))
    if reads_tables:
        functions.check_values(tree)
    selects = [node for node in nodes if isinstance(node, exp.Select)]
    changed = names.leave_out(selects, scopes)
    for select in selects:
        if select.args.get("group") is not None and select.args["group"].args.get("all"):
            names.group_by_all(select)
    changed = names.resolve_aliases(selects, scopes) or changed
    _name_outputs(selects)
    for select in selects:
        if select.args.get("qualify") is not None:
            outer = windows.qualified(select, scopes)
            tree = outer if select is tree else tree
            changed = True
    windows.rewrite(list(tree.walk()) if changed else nodes)
    functions.rewrite(tree, scopes, reads_tables=reads_tables)
    rule = _STATEMENT_RULES.get(type(tree))
    return rule(tree, catalog) if rule is not None else tree


def _is_of_a_user(table: exp.Table) -> bool:
    """Tell whether this is a user table that a cluster's compute nodes would read."""
    if not isinstance(table.this, exp.Identifier) or table.db in _SYSTEM_SCHEMAS:
        return False
    if cte_named(table) is not None:
        return False
    is_target = isinstance(table.parent, (exp.Insert, exp.Schema))
    return not table.name.startswith(SYSTEM_PREFIXES) and not is_target


def _name_outputs(selects: list[exp.Select]) -> None:
    """Alias unnamed SELECT expressions, so that Redshift's column names are kept."""
    for select in selects:
        for item in select.expressions:
            if not isinstance(item, (exp.Alias, exp.Column, exp.Star, exp.Literal)):
                alias = exp.Alias(alias=exp.to_identifier(_output_name(item), quoted=True))
                item.replace(alias)
                alias.set("this", item)


def _output_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return node.name.rpartition(".")[2].lower()
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Cast):
        inner = _output_name(node.this)
        return (
            inner if inner != "?column?" else _TYPE_NAMES.get(node.to.this, str(node.to.name or node.to.sql()).lower())
        )
    if isinstance(node, (exp.Window, exp.WithinGroup, exp.Paren, exp.IgnoreNulls, exp.RespectNulls)):
        return _output_name(node.this)
    if isinstance(node, exp.Dot):
        return _output_name(node.expression)
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select):
        first = node.this.expressions[0]
        return first.alias or _output_name(first)
    if isinstance(node, exp.Var):
        return node.name.removeprefix("local_redshift.").removesuffix("()").lower()
    return _NAMES.get(type(node), "?column?")


_NAMES: dict[type[exp.Expr], str] = {
    exp.Case: "case",
    exp.Extract: "date_part",
    exp.Trim: "btrim",
    exp.Substring: "substring",
    exp.StrPosition: "position",
    exp.Boolean: "bool",
    exp.Interval: "interval",
}
_TYPE_NAMES = {
    exp.DType.INT: "int4",
    exp.DType.SMALLINT: "int2",
    exp.DType.BIGINT: "int8",
    exp.DType.DECIMAL: "numeric",
    exp.DType.DOUBLE: "float8",
    exp.DType.FLOAT: "float4",
    exp.DType.VARCHAR: "varchar",
    exp.DType.TEXT: "varchar",
    exp.DType.CHAR: "bpchar",
    exp.DType.BOOLEAN: "bool",
}


def _select(tree: exp.Select, catalog: Catalog) -> exp.Expr:
    into = tree.args.get("into")
    if into is None:
        return tree
    # https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_INTO.html
    target = into.this
    tree.set("into", None)
    return exp.Create(this=target, kind="TEMPORARY TABLE" if into.args.get("temporary") else "TABLE", expression=tree)


def _insert(tree: exp.Insert, catalog: Catalog) -> exp.Expr:
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(target, exp.Table):
        raise SyntaxRefused("INSERT INTO needs the name of a table")
    if catalog.is_view(target.db, target.name):
        raise not_in_redshift("INSERT into a view")
    query = tree.expression
    while isinstance(query, exp.Subquery):
        query = query.this
    if isinstance(query, exp.Select) and query.args.get("distinct") and not query.args.get("limit"):
        # PostgreSQL rejects ORDER BY columns outside a SELECT DISTINCT list, but a cluster accepts them (observed).
        # Drop ORDER BY: table rows have no order anyway.
        query.set("order", None)
    return tree


def _merge(tree: exp.Merge, catalog: Catalog) -> exp.Expr:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html
    kinds = [bool(when.args.get("matched")) for when in tree.args["whens"].expressions]
    if sorted(kinds) != [False, True]:
        raise NotSupported("Redshift's MERGE needs exactly one WHEN MATCHED and one WHEN NOT MATCHED clause")
    for when in tree.args["whens"].expressions:
        if when.args.get("condition") is not None or when.args.get("source"):
            raise not_in_redshift("a condition after WHEN MATCHED")
    return tree


def _name_inserted_columns(tree: exp.Merge, catalog: Catalog) -> None:
    """Add the column list to a MERGE's INSERT VALUES (...), in table order."""
    for when in tree.args["whens"].expressions:
        then = when.args.get("then")
        values = then.this.expressions if isinstance(then, exp.Insert) and isinstance(then.this, exp.Tuple) else []
        if len(values) == 1 and isinstance(values[0], exp.Anonymous) and values[0].name.upper() == "VALUES":
            columns = list(catalog.columns(tree.this.db.lower(), tree.this.name.lower()) or {})
            if not columns:
                raise NoSuchTable(f'relation "{tree.this.name}" does not exist')
            given = values[0].expressions
            then.set("this", exp.Tuple(expressions=[exp.to_identifier(name) for name in columns[: len(given)]]))
            then.set("expression", exp.Tuple(expressions=[value.copy() for value in given]))


def _merge_without_duplicates(statement: list[Token], catalog: Catalog) -> str:
    """Translate MERGE ... REMOVE DUPLICATES: delete matches, insert all source rows.

    https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html
    """
    indices = code_indices(statement)
    tree = grammar.parse(text(statement[: indices[-2]]) + " WHEN MATCHED THEN DELETE")
    target, source, condition = tree.this, tree.args["using"], tree.args["on"]
    delete = grammar.parse("DELETE FROM t")
    delete.set("this", target.copy())
    delete.set("using", [source.copy()])
    delete.set("where", exp.Where(this=condition.copy()))
    insert = grammar.parse("INSERT INTO t SELECT * FROM s")
    insert.set("this", exp.Table(this=target.this.copy(), db=target.args.get("db"), catalog=target.args.get("catalog")))
    insert.expression.set("from_", exp.From(this=source.copy()))
    deletes, inserts = (grammar.write(_rewritten(one, catalog)) for one in (delete, insert))
    return f"WITH matched AS ({deletes}) {inserts}"


_STATEMENT_RULES: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.Select: _select,
    exp.Insert: _insert,
    exp.Merge: _merge,
}
