"""Parse the COPY statement. Error messages name unsupported options.

https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from local_redshift.errors import NotSupported, RedshiftError, SyntaxRefused
from local_redshift.messages import BAD_CREDENTIALS
from local_redshift.sources import Credentials
from local_redshift.sql import Token, closing, code, split_list


@dataclass(frozen=True)
class CopyStatement:
    """A parsed COPY ... FORMAT AS JSON, with defaults for omitted options."""

    schema: str | None
    table: str
    columns: tuple[str, ...] | None  # None: all columns of the table
    source: str  # "s3://bucket/prefix" or a prefix of local paths
    json: str = "auto"  # "auto", "auto ignorecase", or the location of the JSONPaths file
    region: str | None = None
    credentials: Credentials | None = None  # None: use the client's own AWS credentials, even if IAM_ROLE is given
    manifest: bool = False
    compression: str | None = None  # "gzip" or "bzip2"
    timeformat: str | None = None
    dateformat: str | None = None
    maxerror: int = 0
    ignoreallerrors: bool = False
    noload: bool = False
    acceptinvchars: str | None = None  # the character that replaces each bad byte
    blanksasnull: bool = False
    emptyasnull: bool = False
    trimblanks: bool = False
    truncatecolumns: bool = False
    roundec: bool = False
    acceptanydate: bool = False
    explicit_ids: bool = False
    statupdate: bool | None = None  # None: analyze only if the table was empty

    @property
    def is_auto(self) -> bool:
        """Whether columns are matched to JSON keys, without a JSONPaths file."""
        return self.json in ("auto", "auto ignorecase")

    @property
    def ignores_case(self) -> bool:
        """Whether keys match column names regardless of case."""
        return self.json == "auto ignorecase"

    @property
    def changes_text(self) -> bool:
        """Whether an option changes strings during the load."""
        return bool(
            self.acceptinvchars is not None
            or self.blanksasnull
            or self.emptyasnull
            or self.trimblanks
            or self.truncatecolumns
        )


FLAGS = (
    "MANIFEST NOLOAD IGNOREALLERRORS BLANKSASNULL EMPTYASNULL TRIMBLANKS TRUNCATECOLUMNS ROUNDEC "
    "ACCEPTANYDATE EXPLICIT_IDS"
).split()
COMPRESSIONS = ("GZIP", "BZIP2")
TEXTS = ("REGION", "TIMEFORMAT", "DATEFORMAT")
# column encodings have no effect here, so options about them are accepted and ignored
NO_EFFECT = ("COMPUPDATE", "COMPROWS")
AUTHORIZATION = ("IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")

# https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html: options that can't be used with JSON
NOT_WITH_JSON = "CSV DELIMITER ESCAPE FILLRECORD FIXEDWIDTH IGNOREBLANKLINES NULL READRATIO REMOVEQUOTES QUOTE".split()
OTHER_FORMATS = ("CSV", "AVRO", "PARQUET", "ORC", "SHAPEFILE", "FIXEDWIDTH")

TAKEN = (
    *("FORMAT", "JSON", "MAXERROR", "ACCEPTINVCHARS", "STATUPDATE"),
    *FLAGS,
    *COMPRESSIONS,
    *TEXTS,
    *NO_EFFECT,
    *AUTHORIZATION,
)


def parse_copy(statement: list[Token]) -> CopyStatement:
    """Parse the tokens of a COPY.

    Raise NotSupported for an unsupported option or format, and SyntaxRefused for a syntax error. The messages never
    contain credentials.
    """
    return _Parser(code(statement)).parse()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.seen: set[str] = set()
        self.keys: dict[str, str] = {}

    def parse(self) -> CopyStatement:
        self._take("COPY")
        schema, table = None, self._name("the table's name")
        if self._skip("."):
            schema, table = table, self._name("the table's name")
        columns = self._columns()
        self._take("FROM")
        source = self._string("FROM", "what to load")
        if not source:
            raise SyntaxRefused("COPY: the source is empty")
        copy = CopyStatement(schema, table, columns, source)
        self._check_format()
        while self.at < len(self.tokens):
            copy = self._option(copy)
        return self._checked(copy)

    def _check_format(self) -> None:
        """Raise NotSupported, naming the format, unless it is JSON."""
        words = [token.word for token in self.tokens[self.at :]]
        if "JSON" in words:
            return
        # https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html: delimited text is the default
        # format
        named = next((word for word in words if word in OTHER_FORMATS), "delimited text (the default format)")
        raise NotSupported(f"the local stand-in does not support COPY of {named}: it loads only JSON (FORMAT AS JSON)")

    def _columns(self) -> tuple[str, ...] | None:
        if self._word() != "(":
            return None
        end = closing(self.tokens, self.at)
        listed = split_list(self.tokens[self.at + 1 : end])
        self.at = end + 1
        if any(len(part) != 1 or part[0].kind not in ("word", "quoted") for part in listed):
            raise SyntaxRefused("COPY: the column list must be column names separated by commas")
        return tuple(part[0].name for part in listed)

    def _option(self, copy: CopyStatement) -> CopyStatement:
        shown = self.tokens[self.at].text if self.tokens[self.at].kind != "string" else "a string"
        word = self._word()
        self.at += 1
        if word == "WITH":
            return copy
        if word == "FORMAT":
            self._skip("AS")
            if self._word() != "JSON":
                raise self._not_taken(self._shown())
            return copy
        if word in NOT_WITH_JSON:
            raise NotSupported(f"COPY: {word} can't be used with FORMAT AS JSON")
        if word not in TAKEN:
            raise self._not_taken(shown)
        if word in self.seen:
            raise SyntaxRefused(f"COPY: conflicting or redundant options: {word} is given twice")
        self.seen.add(word)
        return self._value_of(word, copy)

    def _value_of(self, word: str, copy: CopyStatement) -> CopyStatement:
        if word in FLAGS:
            flag: dict[str, Any] = {word.lower(): True}
            return replace(copy, **flag)
        if word in COMPRESSIONS:
            return replace(copy, compression=word.lower())
        if word in TEXTS:
            self._skip("AS")
            text = self._string(word)
            # https://docs.aws.amazon.com/redshift/latest/dg/r_DATEFORMAT_and_TIMEFORMAT_strings.html
            if word == "TIMEFORMAT" and re.search("OF|TZ", text.upper()):
                raise SyntaxRefused("COPY: TIMEFORMAT can't have a time zone (OF or TZ); 'auto' reads time zones")
            named: dict[str, Any] = {word.lower(): text}
            return replace(copy, **named)
        if word in AUTHORIZATION:
            self._authorization(word)
            return copy
        if word in NO_EFFECT:
            self._skip("AS")
            if self._word() in ("ON", "OFF", "TRUE", "FALSE", "PRESET") or word == "COMPROWS":
                self.at += 1
            return copy
        return _OTHER[word](self, copy)

    def _json(self, copy: CopyStatement) -> CopyStatement:
        self._skip("AS")
        if self.at < len(self.tokens) and self.tokens[self.at].kind == "string":
            copy = replace(copy, json=self._string("JSON"))
        if copy.json == "noshred":
            raise NotSupported("the local stand-in does not support JSON 'noshred'")
        return copy

    def _maxerror(self, copy: CopyStatement) -> CopyStatement:
        self._skip("AS")
        number = self._next("MAXERROR", "a number")
        if not number.text.isdigit() or int(number.text) > 100_000:
            raise SyntaxRefused(f"COPY: MAXERROR takes 0 to 100000, not {self._shown(-1)}")
        return replace(copy, maxerror=int(number.text))

    def _statupdate(self, copy: CopyStatement) -> CopyStatement:
        wanted = {"ON": True, "TRUE": True, "OFF": False, "FALSE": False}.get(self._word())
        self.at += wanted is not None
        return replace(copy, statupdate=wanted is not False)

    def _acceptinvchars(self, copy: CopyStatement) -> CopyStatement:
        named = self._skip("AS")
        if not named and (self.at == len(self.tokens) or self.tokens[self.at].kind != "string"):
            return replace(copy, acceptinvchars="?")
        char = self._string("ACCEPTINVCHARS")
        if len(char) != 1 or not char.isascii() or char == "\0":
            raise SyntaxRefused("COPY: ACCEPTINVCHARS takes one ASCII character other than NUL")
        return replace(copy, acceptinvchars=char)

    def _authorization(self, word: str) -> None:
        if word == "IAM_ROLE" and self._skip("DEFAULT"):
            return
        self._skip("AS")
        value = self._string(word)
        if word == "CREDENTIALS":
            self._credentials_string(value)
        elif word != "IAM_ROLE":
            self.keys[word] = value

    def _credentials_string(self, value: str) -> None:
        if re.fullmatch(r"aws_iam_role=\S+", value):
            return
        match = re.fullmatch(r"aws_access_key_id=([^;\s]+);aws_secret_access_key=([^;\s]+)(?:;token=([^;\s]+))?", value)
        if match is None:
            raise RedshiftError(BAD_CREDENTIALS)
        self.keys = dict(zip(AUTHORIZATION[2:], match.groups(), strict=True))

    def _checked(self, copy: CopyStatement) -> CopyStatement:
        """Return `copy` with its credentials. Raise SyntaxRefused if options conflict."""
        ways = self.seen & {"IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID"}
        if len(ways) > 1:
            raise SyntaxRefused(f"COPY: only one of {' and '.join(sorted(ways))} can be given")
        if not ways and copy.source.startswith("s3://"):
            raise SyntaxRefused("COPY from S3 needs IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID")
        if ("ACCESS_KEY_ID" in self.seen) != ("SECRET_ACCESS_KEY" in self.seen):
            raise SyntaxRefused("COPY: ACCESS_KEY_ID and SECRET_ACCESS_KEY go together")
        if len(compressions := self.seen & set(COMPRESSIONS)) > 1:
            raise SyntaxRefused(f"COPY: only one of {' and '.join(sorted(compressions))} can be given")
        if {"MAXERROR", "IGNOREALLERRORS"} <= self.seen:
            raise SyntaxRefused("COPY: MAXERROR and IGNOREALLERRORS can't be used together")
        if self.keys.get("ACCESS_KEY_ID"):
            key_id, secret, token = (self.keys.get(name) for name in AUTHORIZATION[2:])
            copy = replace(copy, credentials=Credentials(key_id or "", secret or "", token))
        return copy

    def _word(self) -> str:
        return self.tokens[self.at].word if self.at < len(self.tokens) else ""

    def _shown(self, offset: int = 0) -> str:
        """Return the current token for a message; hide strings, which may be secrets."""
        if self.at + offset >= len(self.tokens):
            return "the end of the statement"
        token = self.tokens[self.at + offset]
        return "a string" if token.kind == "string" else token.text

    def _skip(self, word: str) -> bool:
        found = self._word() == word
        self.at += found
        return found

    def _take(self, word: str) -> None:
        if not self._skip(word):
            raise SyntaxRefused(f"COPY: {word} expected, not {self._shown()}")

    def _next(self, option: str, wanted: str) -> Token:
        if self.at == len(self.tokens):
            raise SyntaxRefused(f"COPY: {option} needs {wanted}")
        self.at += 1
        return self.tokens[self.at - 1]

    def _string(self, option: str, wanted: str = "a value") -> str:
        token = self._next(option, f"{wanted}, in quotes")
        if token.kind != "string":
            raise SyntaxRefused(f"COPY: {option} needs {wanted}, in quotes, not {token.text}")
        return token.value

    def _name(self, wanted: str) -> str:
        token = self._next("COPY", wanted)
        if token.kind not in ("word", "quoted"):
            raise SyntaxRefused(f"COPY: {wanted} expected, not {self._shown(-1)}")
        return token.name

    def _not_taken(self, shown: str) -> NotSupported:
        listed = ", ".join(sorted(TAKEN))
        kind = "format" if shown.upper() in OTHER_FORMATS else "option"
        return NotSupported(f"the local stand-in's COPY does not support the {kind} {shown}; it supports: {listed}")


_OTHER: dict[str, Callable[[_Parser, CopyStatement], CopyStatement]] = {
    "JSON": _Parser._json,
    "MAXERROR": _Parser._maxerror,
    "ACCEPTINVCHARS": _Parser._acceptinvchars,
    "STATUPDATE": _Parser._statupdate,
}
