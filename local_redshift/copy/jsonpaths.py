"""Parse JSONPaths files, which map values of a record to columns.

https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html#copy-json-jsonpaths
"""

import json
import re

from local_redshift import messages
from local_redshift.copy.records import elements, members
from local_redshift.errors import SourceError

JsonPath = tuple[str | int, ...]  # member names and array indexes, starting at the root, such as ("a", 0, "b")

MISSING = object()  # the value of a path that does not exist in a record

# no asterisk: Redshift rejects wildcards
_DOT_STEP = re.compile(r"\.([^'.*\[\]]+)((?:\[\d+\])*)")
_BRACKET_STEP = re.compile(r"""\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\d+))\]""")


class PathError(Exception):
    """A path that does not match the record; the message is Redshift's."""


def parse_jsonpaths(data: bytes, name: str) -> list[JsonPath] | None:
    """Return the paths of the JSONPaths file `name`.

    Return None if the file has no "jsonpaths" key: COPY then uses 'auto'. Raise SourceError if the file is malformed.
    """
    try:
        document = json.loads(data)
    except ValueError as error:  # also raised for invalid UTF-8
        raise _invalid(name, f"not one JSON object: {error}") from error
    if not isinstance(document, dict):
        raise _invalid(name, "not a JSON object")
    if "jsonpaths" not in document:
        return None
    if len(document) > 1:
        raise _invalid(name, 'it has other keys besides "jsonpaths"')
    paths = document["jsonpaths"]
    if not isinstance(paths, list) or not paths:
        raise _invalid(name, '"jsonpaths" is not an array of paths')
    return [parse_path(path, name) for path in paths]


def parse_path(path: object, name: str) -> JsonPath:
    """Return the steps of a path such as "$.a.b[0]" or "$['a']['b'][0]". Raise SourceError for any other notation."""
    if not isinstance(path, str) or not path:
        raise _invalid(name, f"{json.dumps(path)} is not a JSONPath expression")
    if not path.startswith("$") or len(path) == 1:
        raise _invalid(name, f"{path} does not start with $. or $[")
    steps = _bracket_steps(path) if path[1] == "[" else _dot_steps(path)
    if steps is None:
        raise _invalid(name, f"{path} is neither in dot nor in bracket notation")
    return tuple(steps)


def _dot_steps(path: str) -> list[str | int] | None:
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        match = _DOT_STEP.match(path, at)
        if match is None:
            return None
        steps += [match[1], *(int(index) for index in re.findall(r"\d+", match[2]))]
        at = match.end()
    return steps


def _bracket_steps(path: str) -> list[str | int] | None:
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        match = _BRACKET_STEP.match(path, at)
        if match is None:
            return None
        key = match[1] if match[1] is not None else match[2]
        steps.append(int(match[3]) if key is None else re.sub(r"\\(.)", r"\1", key))
        at = match.end()
    return steps


def _invalid(name: str, problem: str) -> SourceError:
    return SourceError(messages.JSONPATHS_INVALID.format(path=name, problem=problem))


def follow(path: JsonPath, value: object) -> object:
    """Return the value at `path` in a record, or MISSING if there is none.

    Raise PathError if a step meets a value of the wrong type, or an array that is too short.
    """
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise PathError(messages.NOT_AN_ARRAY)
            value = value[step]
        elif isinstance(value, dict):
            value = value.get(step, MISSING)
        elif value is None or value is MISSING:
            return MISSING
        else:
            raise PathError(messages.NOT_AN_OBJECT)
    return value


def source_text(path: JsonPath, text: str) -> str:
    """Return the source text of the value at `path` in the record `text`. The path must exist in the record."""
    for step in path:
        if isinstance(step, int):
            text = list(elements(text))[step]
        else:
            text = dict(members(text))[step]
    return text
