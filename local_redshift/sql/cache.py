"""A cache of translations, in memory and in a file in the data directory.

Translating a query takes one or two milliseconds, and loading the grammar takes 0.1 s. A script that repeats the
statements of an earlier run avoids both delays. A cached translation is used only if its catalog lookups still return
the same results, and the file is read only if the same version of the code wrote it.
"""

import contextlib
import hashlib
import importlib.util
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

from local_redshift.errors import NotSupported, SyntaxRefused
from local_redshift.sql.catalog import Catalog, Columns, ColumnType
from local_redshift.sql.tokens import Token, code, text
from storage.local_files import replacing

FILE = "translations.json"
MOST = 500  # maximum number of statements whose translations are kept in the file
VARIANTS = 4  # maximum translations per statement: databases may have different tables with the same names
LONGEST = 20_000  # characters; longer statements are not cached: most contain data rows, and are not repeated
KEPT = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE")  # other statements may contain a password

Question = tuple[str, ...]
Key = tuple[str, bool]


class _Known(NamedTuple):
    """A translation, and the results of its catalog lookups."""

    sql: str
    answers: dict[Question, object]


_loading = threading.Lock()
_known: dict[Key, list[_Known]] = {}
_file: Path | None = None
_kept: list[_Known] = []  # translations that are in the file


def remember(data_dir: Path) -> bool:
    """Read the translations of this data directory; return whether there were any."""
    global _file, _kept
    _file = data_dir / FILE
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # an unreadable file is ignored
        _read(json.loads(_file.read_text(encoding="utf-8")))
    _kept = _all_known()
    return bool(_kept)


def _read(kept: dict[str, Any]) -> None:
    if kept["code"] != _fingerprint():
        return
    for sql, autocommit, made, answers in kept["translations"]:
        known = _Known(made, {tuple(question): _answer(stored) for question, stored in answers})
        _known.setdefault((sql, autocommit), []).append(known)


def _all_known() -> list[_Known]:
    return [known for variants in list(_known.values()) for known in variants]


def _answer(stored: Any) -> object:
    """Convert a catalog answer from the file to its original type."""
    return {name: ColumnType(*kind) for name, kind in stored.items()} if isinstance(stored, dict) else stored


def keep() -> None:
    """Write the latest translations to the data directory, if there are new ones."""
    if _file is None or set(map(id, _all_known())) <= set(map(id, _kept)) or not _file.parent.is_dir():
        return
    latest = list(_known.items())[-MOST:]
    listed = [[*key, known.sql, list(known.answers.items())] for key, variants in latest for known in variants]
    with contextlib.suppress(OSError), replacing(_file, mode=0o600) as file:
        json.dump({"code": _fingerprint(), "translations": listed}, file)


def _fingerprint() -> str:
    """Return a hash of the translation code and of sqlglot's version."""
    found = importlib.util.find_spec("sqlglot")
    grammar = Path(found.origin).with_name("_version.py") if found is not None and found.origin else Path()
    parts = [path.read_bytes() for path in [*sorted(Path(__file__).parent.glob("*.py")), grammar] if path.is_file()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def prepare() -> None:
    """Load the grammar, if it is not loaded yet.

    One thread at a time, because sqlglot's modules import each other: threads that import them at the same time, in
    different orders, may see modules that are only half loaded.
    """
    with _loading:
        importlib.import_module("local_redshift.sql.tables")


def translate(statement: list[Token], catalog: Catalog, *, autocommit: bool = False) -> str:
    """Translate a Redshift statement to PostgreSQL; see translation.translate.

    A cached translation is used only if its catalog lookups give the same results as before.
    """
    sql = text(statement)
    key = (sql, autocommit)
    variants = _known.get(key, [])
    for known in variants:
        if all(_is_same(_ask(catalog, question), answer) for question, answer in known.answers.items()):
            return known.sql
    noted = _Noted(catalog)
    made = _translated(statement, noted, autocommit)
    if len(sql) <= LONGEST and _is_kept(statement):
        _known.pop(key, None)  # reinserted below as the latest entry
        _known[key] = [*variants, _Known(made, noted.answers)][-VARIANTS:]
        if len(_known) > 2 * MOST:
            for old in list(_known)[:MOST]:
                _known.pop(old, None)
    return made


def _is_same(answer: object, earlier: object) -> bool:
    """Compare two catalog answers, including column order: * and INSERT depend on it."""
    if isinstance(answer, dict) and isinstance(earlier, dict):
        return list(answer.items()) == list(earlier.items())
    return answer == earlier


def _is_kept(statement: list[Token]) -> bool:
    words = [token.word for token in code(statement)[:4]]
    return words[0] in KEPT or (words[0] == "CREATE" and bool({"TABLE", "VIEW"} & set(words)))


def _translated(statement: list[Token], catalog: Catalog, autocommit: bool) -> str:
    module = importlib.import_module("local_redshift.sql.translation")
    try:
        return str(module.translate(statement, catalog, autocommit=autocommit))
    except RecursionError:
        raise NotSupported("this statement is nested too deeply for the local stand-in") from None
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        # the translation raises these if a statement ends unexpectedly
        shown = " ".join(text(statement).split())
        raise SyntaxRefused(f"syntax error: this statement can't be read: {shown[:60]}") from None


def _ask(catalog: Catalog, question: Question) -> object:
    kind, *names = question
    answer = getattr(catalog, kind)
    return answer(*names) if callable(answer) else answer


class _Noted:
    """A catalog wrapper that records each lookup and its result."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.answers: dict[Question, object] = {}

    def _noted(self, kind: str, *names: str) -> object:
        question = (kind, *names)
        self.answers[question] = _ask(self._catalog, question)
        return self.answers[question]

    @property
    def database(self) -> str:
        return str(self._noted("database"))

    @property
    def has_late_binding_views(self) -> bool:
        return bool(self._noted("has_late_binding_views"))

    def columns(self, schema: str, table: str) -> Columns | None:
        return self._noted("columns", schema, table)  # type: ignore[return-value]

    def is_view(self, schema: str, name: str) -> bool:
        return bool(self._noted("is_view", schema, name))

    def late_binding_view(self, schema: str, view: str) -> str | None:
        return self._noted("late_binding_view", schema, view)  # type: ignore[return-value]
