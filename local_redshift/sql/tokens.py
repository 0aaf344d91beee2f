"""Split SQL into tokens, so that strings and comments are never mistaken for code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | --[^\n]* | /\*.*?\*/)
    | (?P<string>[eE]?'(?:[^'\\]|\\.|'')*')
    | (?P<parameter>\$\d+)
    | (?P<string_in_dollars>\$(?P<tag>[^\W\d]*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>\#?[^\W\d][\w$\u200e\u200f]*)
    | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+)
    | (?P<punctuation>:: | .)
    """,
    re.VERBOSE | re.DOTALL,
)

# in _TOKEN, names can contain the direction marks \u200e and \u200f, as in redshift_connector's tests
_COMMENT_MARK = re.compile(r"/\*|\*/")

# https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html: backslash escapes in literals
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True)
class Token:
    """A token: its kind, such as word, quoted or string, and its text as written."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The text in upper case for an unquoted word or punctuation, otherwise empty."""
        return self.text.upper() if self.kind in ("word", "punctuation") else ""

    @property
    def name(self) -> str:
        """The identifier in lower case, whether quoted or not.

        https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
        """
        return self.text[1:-1].replace('""', '"').lower() if self.kind == "quoted" else self.text.lower()

    @property
    def value(self) -> str:
        """The value of this string literal."""
        if self.text.startswith("$"):
            return self.text.split("$", 2)[2].rsplit("$", 2)[0]
        body = self.text.lstrip("eE")[1:-1]
        return re.sub(r"''|\\(.)", _unescaped, body, flags=re.DOTALL)


def _unescaped(match: re.Match[str]) -> str:
    return "'" if match[0] == "''" else _ESCAPES.get(match[1], match[1])


def tokenize(sql: str) -> list[Token]:
    """Split `sql` into tokens, including spaces and comments, without losing text."""
    found = []
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        assert match is not None  # the last alternative matches any character
        end = _end_of_comment(sql, at) if sql.startswith("/*", at) else match.end()
        found.append(Token("space" if end != match.end() else _kind(match), sql[at:end]))
        at = end
    return found


def _end_of_comment(sql: str, at: int) -> int:
    """Return the end of a comment; if it is unclosed, the end of the text. Comments can be nested."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, at):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _kind(match: re.Match[str]) -> str:
    return "string" if match["string_in_dollars"] is not None else match.lastgroup or ""


def code(tokens: list[Token]) -> list[Token]:
    """Return `tokens` without spaces and comments."""
    return [token for token in tokens if token.kind != "space"]


def code_indices(tokens: list[Token]) -> list[int]:
    """Return the indices of the tokens other than spaces and comments."""
    return [i for i, token in enumerate(tokens) if token.kind != "space"]


def text(tokens: list[Token]) -> str:
    """Return `tokens` as SQL text."""
    return "".join(token.text for token in tokens)


def quote(name: str) -> str:
    """Return `name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def name_text(token: Token) -> str:
    """Return a token as SQL; a quoted or #temporary name is folded to lower case."""
    return quote(token.name) if token.kind == "quoted" or token.text.startswith("#") else token.text


def spaced(tokens: list[Token]) -> list[Token]:
    """Return the tokens without comments, each followed by a space."""
    return [part for token in code(tokens) for part in (token, Token("space", " "))]


def statements(sql: str) -> Iterator[list[Token]]:
    """Yield the tokens of each statement in `sql`; skip empty statements."""
    statement: list[Token] = []
    for token in [*tokenize(sql), Token("punctuation", ";")]:
        if token.word != ";":
            statement.append(token)
        else:
            if code(statement):
                yield statement
            statement = []


def split_list(tokens: list[Token]) -> list[list[Token]]:
    """Split tokens at the commas outside parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def closing(tokens: list[Token], start: int) -> int:
    """Return the index of the matching parenthesis; len(tokens) if there is none."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i].word == "(") - (tokens[i].word == ")")
        if depth == 0:
            return i
    return len(tokens)


def split_arguments(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Return the tokens in the leading parentheses, if any, and the tokens after them."""
    if tokens and tokens[0].word == "(":
        end = closing(tokens, 0)
        return tokens[1:end], tokens[end + 1 :]
    return [], tokens
