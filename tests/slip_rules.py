"""The slips that slips.py makes: small changes to SQL and to Python, each by a rule, one at a time."""

import ast
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

# SQL ------------------------------------------------------------------------------------------------

SWAPPED_WORDS = (
    (r"\bMIN\(", "MAX("),
    (r"\bMAX\(", "MIN("),
    (r"\bLEFT JOIN\b", "JOIN"),
    (r"(?<!LEFT )\bJOIN\b", "LEFT JOIN"),
    (r" DESC\b", ""),
    (r"\bAND\b", "OR"),
    (r"\bOR\b", "AND"),
    (r"\bNOT EXISTS\b", "EXISTS"),
    (r"\bIS NOT NULL\b", "IS NULL"),
    (r"\bUNION ALL\b", "UNION"),
    (r"\bSELECT DISTINCT\b", "SELECT"),
    (r" +NOT NULL(?=,|\n)", ""),
    (r"<>", "="),
    (r"(?<![<>])=(?!=)", "<>"),
    (r"(?<!<)>", ">="),
    (r"\bDISTSTYLE EVEN\b", "DISTSTYLE ALL"),
    (r"\bDISTSTYLE ALL\b", "DISTSTYLE EVEN"),
    (r" SORTKEY \(\w+\)", ""),
    (r"\bSTATUPDATE ON\b", "STATUPDATE OFF"),
    (r"\bepochmillisecs\b", "epochsecs"),
    (r"\bhour FROM\b", "minute FROM"),
    (r"\bday FROM\b", "doy FROM"),
    (r"\bweek FROM\b", "doy FROM"),
    (r"\byear FROM\b", "isoyear FROM"),
    (r"\bdow FROM\b", "isodow FROM"),
    (r"'EV'", "'EW'"),
    (r"'NextSong'", "'Home'"),
)
DROPPED_CALLS = ("RTRIM", "COALESCE", "NVL", "NULLIF", "GREATEST", "MD5", "ABS", "LEFT", "TRIM")
CONDITION = re.compile(r"\b(?:WHERE|ON|AND|OR|HAVING) (?P<condition>(?:(?! AND | OR |\n| THEN ).)+)")
COLUMN_PAIRS = re.compile(r"(?<=[\s(])([a-z_.]+)(, |,\n +)([a-z][a-z_.]*)(?=,| AS |\n|\))")
WEEKDAYS = re.compile(r"([A-Z]\w+day) ([A-Z]\w+day)")
ORDER_BY = re.compile(r"ORDER BY\s+")


class Slip(NamedTuple):
    """A change: where it is, what it is, and the text of the file with it."""

    where: str
    what: str
    text: str


def sql_slips(source: str) -> Iterator[Slip]:
    """The slips in sql_queries.py: in each statement as it is in the end, and in the lists that say what runs."""
    names: dict = {}
    exec(compile(source, "sql_queries.py", "exec"), names)
    columns = re.compile(rf"(?<![a-z_])({'|'.join(sorted(template_columns(names)))})(?![a-z_])")
    for name, statement in names.items():
        if not isinstance(statement, names["Statement"]) or name.startswith("_"):
            continue
        repeated = repeated_lines(statement, columns) if re.search("_(check|warning|create)$", name) else set()
        for what, changed in {text: (what, text) for what, text in statement_slips(statement)}.values():
            if first_changed_line(statement, changed) not in repeated:
                yield Slip(name, what, source + INSTEAD.format(name=name, text=changed))
    yield from list_slips(source)


def template_columns(names: dict) -> set[str]:
    """The columns for each of which a template is filled in, and their paths."""
    fields = (names["PLAY_FIELDS"], names["OTHER_EVENT_FIELDS"], names["SONG_FIELDS"])
    paths = {re.escape(path) for path in names["PLAY_FIELDS"].values()}
    return {*names["PLAY_COLUMNS"], *names["PLAY_COLUMNS"].values(), *itertools.chain(*fields), *paths}


def repeated_lines(statement: str, columns: re.Pattern[str]) -> set[int]:
    """All but one of the lines that a template made: with their neighbours, they differ only in a column's name."""
    lines = ["", *(columns.sub("COLUMN", line) for line in statement.splitlines()), ""]
    alike: dict[tuple[str, ...], list[int]] = {}
    for n in range(len(lines) - 2):
        alike.setdefault(tuple(lines[n : n + 3]), []).append(n)
    tried = {same[len(same) // 2] for same in alike.values()}
    return set(range(len(lines) - 2)) - tried


def first_changed_line(statement: str, changed: str) -> int:
    pairs = itertools.zip_longest(statement.splitlines(), changed.splitlines())
    return next(n for n, (before, after) in enumerate(pairs) if before != after)


# behind all of sql_queries.py: a statement that takes the place of another, wherever that is used
INSTEAD = """
_instead = Copy({text!r}, {name}.table, {name}.reads) if isinstance({name}, Copy) else Statement({text!r})
_instead.name = {name!r}
for _list in [_value for _value in globals().values() if isinstance(_value, list)]:
    _list[:] = [_instead if _item is {name} else _item for _item in _list]
{name} = _instead
"""


def spans(source: str, kind: type) -> Iterator[tuple[ast.AST, int, int]]:
    """The nodes of a kind at the top of a file, with where the value of each starts and ends."""
    for node in ast.parse(source).body:
        if isinstance(node, kind):
            yield node, *span_of(source, node.value)


def span_of(source: str, node: ast.AST) -> tuple[int, int]:
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    encoded = source.encode()
    begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
    return len(encoded[:begin].decode()), len(encoded[:end].decode())


def statement_slips(statement: str) -> Iterator[tuple[str, str]]:
    for pattern, instead in SWAPPED_WORDS:
        for match in re.finditer(pattern, statement):
            yield (
                f"{match[0].strip()} -> {instead or 'nothing'}{near(statement, match.start())}",
                replaced(statement, match.span(), instead),
            )
    for match in re.finditer(r"VARCHAR\((\d+)\)", statement):
        shorter = f"VARCHAR({int(match[1]) // 2})"
        yield f"{shorter}{near(statement, match.start())}", replaced(statement, match.span(), shorter)
    for match in CONDITION.finditer(statement):
        if match["condition"].count("(") == match["condition"].count(")"):
            what = f"dropped {match[0].strip()}{near(statement, match.start())}"
            yield what, replaced(statement, match.span("condition"), "1 = 1")
    for match in re.finditer(rf"\b({'|'.join(DROPPED_CALLS)})\(", statement):
        end = closing(statement, match.end() - 1)
        first = split_arguments(statement[match.end() : end])[0]
        what = f"{statement[match.start() : end + 1]} -> {first}{near(statement, match.start())}"
        yield what, replaced(statement, (match.start(), end + 1), first)
    yield from swap_slips(statement)
    yield from order_slips(statement)


def swap_slips(statement: str) -> Iterator[tuple[str, str]]:
    for match in COLUMN_PAIRS.finditer(statement):
        if match[1] != match[3]:
            what = f"{match[1]} and {match[3]} swapped{near(statement, match.start())}"
            yield what, replaced(statement, match.span(), f"{match[3]}{match[2]}{match[1]}")
    for match in WEEKDAYS.finditer(statement):
        yield f"{match[1]} and {match[2]} swapped", replaced(statement, match.span(), f"{match[2]} {match[1]}")


def order_slips(statement: str) -> Iterator[tuple[str, str]]:
    for match in ORDER_BY.finditer(statement):
        end = end_of_clause(statement, match.end())
        terms = split_arguments(statement[match.end() : end])
        if len(terms) == 1:
            yield f"dropped ORDER BY {terms[0]}", replaced(statement, (match.start(), end), "")
            continue
        for n, term in enumerate(terms):
            rest = ", ".join(terms[:n] + terms[n + 1 :])
            shown = " ".join(term.split())
            yield f"ORDER BY without {shown}", replaced(statement, (match.end(), end), rest)
            if not term.endswith("DESC"):
                turned = ", ".join([*terms[:n], f"{term} DESC", *terms[n + 1 :]])
                yield f"ORDER BY {shown} DESC", replaced(statement, (match.end(), end), turned)


def end_of_clause(statement: str, start: int) -> int:
    """Where an ORDER BY ends: at the parenthesis that closes around it, or with the statement."""
    depth = 0
    for at in range(start, len(statement)):
        depth += (statement[at] == "(") - (statement[at] == ")")
        if depth < 0:
            return len(statement[:at].rstrip('"\n '))
    return len(statement.rstrip('"\n'))


def closing(statement: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(statement)):
        depth += (statement[at] == "(") - (statement[at] == ")")
        if depth == 0:
            return at
    return len(statement)


def split_arguments(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def near(statement: str, at: int) -> str:
    line = statement[: at + 1].count("\n")
    return f", line {line}: {statement.splitlines()[line].strip()[:60]}" if line < len(statement.splitlines()) else ""


def replaced(text: str, span: tuple[int, int], instead: str) -> str:
    return text[: span[0]] + instead + text[span[1] :]


def list_slips(source: str) -> Iterator[Slip]:
    """A statement left out of a list, or in the place of the next."""
    for node, _, _ in spans(source, ast.Assign):
        if not isinstance(node.value, ast.List) or not isinstance(node.targets[0], ast.Name):
            continue
        items = [span_of(source, item) for item in node.value.elts]
        for n, (start, end) in enumerate(items):
            shown = source[start:end]
            rest = source[end:].removeprefix(",")
            yield Slip(node.targets[0].id, f"without {shown}", source[:start] + rest)
            if n + 1 < len(items):
                after, until = items[n + 1]
                swapped = source[after:until] + source[end:after] + shown
                yield Slip(node.targets[0].id, f"{shown} after the next", source[:start] + swapped + source[until:])


# Python ---------------------------------------------------------------------------------------------

COMPARISONS = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*"}


def python_slips(source: str) -> Iterator[Slip]:
    """The slips in a Python file: operators, conditions, numbers, statements and results, as mutation testers do."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in own_nodes(function):
                for what, span, instead in node_slips(source, node):
                    line = source[: span[0]].count("\n") + 1
                    yield Slip(f"{function.name}, line {line}", what, replaced(source, span, instead))


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, its docstring and the functions inside it aside."""
    left = [node for node in function.body if not is_docstring(node)]
    while left:
        node = left.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        yield node
        if not isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
            left.extend(ast.iter_child_nodes(node))


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def node_slips(source: str, node: ast.AST) -> Iterator[tuple[str, tuple[int, int], str]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = span_of(source, node.left), span_of(source, node.comparators[0])
        instead = COMPARISONS[type(node.ops[0])]
        yield f"{segment(source, node)}: {instead}", (left[1], right[0]), f" {instead} "
    elif isinstance(node, ast.BoolOp):
        instead = "or" if isinstance(node.op, ast.And) else "and"
        for one, other in zip(node.values, node.values[1:], strict=False):
            between = (span_of(source, one)[1], span_of(source, other)[0])
            yield (
                f"{segment(source, node)}: {instead}",
                between,
                re.sub(r"\band\b|\bor\b", instead, source[slice(*between)]),
            )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{segment(source, node)}: without not", span_of(source, node), f"({segment(source, node.operand)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = span_of(source, node.left), span_of(source, node.right)
        instead = OPERATORS[type(node.op)]
        yield f"{segment(source, node)}: {instead}", (left[1], right[0]), f" {instead} "
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value} -> {node.value + 1}", span_of(source, node), str(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield f"{node.value} -> {not node.value}", span_of(source, node), str(not node.value)
    yield from statement_of_python_slips(source, node)


def is_yield(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, (ast.Yield, ast.YieldFrom))


def statement_of_python_slips(source: str, node: ast.AST) -> Iterator[tuple[str, tuple[int, int], str]]:
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        shown = segment(source, node.test)
        yield f"if {shown}: always", span_of(source, node.test), "True"
        if not isinstance(node, ast.While):
            yield f"if {shown}: never", span_of(source, node.test), "False"
    elif isinstance(node, ast.Return) and node.value is not None and segment(source, node.value) != "None":
        yield f"{segment(source, node)}: None", span_of(source, node.value), "None"
    elif isinstance(node, (ast.Expr, ast.Raise, ast.AugAssign, ast.Delete)) and not is_yield(node):
        yield f"without {segment(source, node)}", span_of(source, node), "pass"


def segment(source: str, node: ast.AST) -> str:
    start, end = span_of(source, node)
    return " ".join(source[start:end].split())
