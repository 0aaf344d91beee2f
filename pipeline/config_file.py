"""Parse the config file; refuse unknown sections and keys."""

import configparser
import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import PipelineError

KNOWN_KEYS = {
    "CLUSTER": (
        *("HOST", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_PORT", "SCHEMA"),
        *("IAM_AUTH", "SSLMODE", "SSLROOTCERT", "DATA_DIR"),
    ),
    "IAM_ROLE": ("ARN",),
    "S3": ("LOG_DATA", "LOG_JSONPATH", "SONG_DATA", "REGION", "TEMP_DIR", "MAXERROR"),
    "CREDSTASH": ("KEY", "REGION", "PROFILE", "TABLE"),
    "TEST": ("PREFIX",),
}

_COMMENT = re.compile(r"\s[#;]")


class ConfigValues:
    """The values of a config file by section and key, without quotes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[tuple[str, str], str] = {}
        for section, pairs in _parse(path).items():
            self._check_section(section)
            for key, value in pairs.items():
                self._add(section, key, value or "")

    def _check_section(self, section: str) -> None:
        if section not in KNOWN_KEYS:
            shown = f"[{section}]" if _is_shown(section) else "a name in brackets"
            known = _nearest(section, tuple(KNOWN_KEYS))
            raise PipelineError(f"{self.path}: {shown} is not one of the sections{known}")

    def _add(self, section: str, key: str, value: str) -> None:
        name = key.upper()
        if len(key.split()) > 1:
            # show only the first word: the rest may be part of a password
            raise PipelineError(
                f"{self.path}: [{section}] the line that begins with {key.split()[0]} is not of the form KEY = value"
            )
        if name not in KNOWN_KEYS[section]:
            shown = key if _is_shown(key) else "of that name"
            raise PipelineError(f"{self.path}: [{section}] has no key {shown}{_nearest_key(section, name)}")
        if (section, name) in self._values:
            raise PipelineError(f"{self.path}: [{section}] {name} is given twice")
        self._values[section, name] = self._plain(section, name, value.strip())

    def _plain(self, section: str, key: str, value: str) -> str:
        if "\0" in value:
            raise PipelineError(f"{self.path}: [{section}] {key} has a NUL byte in it")
        if "\n" in value:
            raise PipelineError(
                f"{self.path}: [{section}] {key} continues on the indented line below it; "
                "start each key at the beginning of its line"
            )
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            return value[1:-1]
        # a password may contain anything
        if key != "DB_PASSWORD" and _COMMENT.search(value):
            raise PipelineError(
                f"{self.path}: [{section}] {key} = {value}: put the comment on its own line; "
                "if it is part of the value, put the whole value in quotes"
            )
        return value

    def get(self, section: str, key: str, default: str | None = None) -> str:
        """Return the value, or `default` if it is missing or empty.

        If there is neither, raise a PipelineError that names the section and the key.
        """
        value = self._values.get((section, key), "")
        if not value and default is None:
            raise PipelineError(f"{self.path}: [{section}] {key} is missing; give it a value")
        return value or default or ""


def _parse(path: Path) -> Mapping[str, Mapping[str, str | None]]:
    # no interpolation and no inline comments: a password may contain %, # and ;
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keep the case of keys
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
    except OSError as error:
        raise PipelineError(
            f"config file {path} can't be read: {error.strerror}; name another with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"config file {path} is not UTF-8 text") from error
    except configparser.Error as error:
        raise PipelineError(f"config file {path}, {_parse_problem(error)}") from error
    return {section: parser[section] for section in parser.sections()}


def _parse_problem(error: configparser.Error) -> str:
    """Return the line number and the problem. Omit the line: it may hold the password."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno}: there is no [SECTION] above this line"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: [{error.section}] {error.option} is given twice"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: [{error.section}] is given twice"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"line {error.errors[0][0]}: this is neither [SECTION] nor KEY = value"
    return "invalid syntax"


def _is_shown(name: str) -> bool:
    """Tell whether a message may show this name, which could be a misplaced password."""
    is_plain = re.fullmatch(r"[A-Za-z]\w{1,11}(?:_\w{1,11})?", name) and not re.search(r"\d", name)
    return bool(is_plain) or len(name) <= 3


def _nearest(word: str, known: tuple[str, ...]) -> str:
    found = difflib.get_close_matches(word.upper(), known, 1)
    return f": did you mean {found[0]}?" if found else f"; there are {', '.join(known)}"


def _nearest_key(section: str, name: str) -> str:
    elsewhere = [other for other, keys in KNOWN_KEYS.items() if name in keys]
    if elsewhere:
        return f": did you mean the one in [{elsewhere[0]}]?"
    return _nearest(name, KNOWN_KEYS[section])
