"""Translations that were made before, and the grammar, which is read in when it is first needed: it takes 0.1 s."""

import importlib
from typing import NamedTuple

from local_redshift.errors import NotSupported, SyntaxRefused
from local_redshift.sql.catalog import Catalog, Columns
from local_redshift.sql.tokens import Token, text

MOST = 1000  # translations that are kept
LONGEST = 20_000  # characters; longer ones hold rows, and are not run twice

Question = tuple[str, ...]


class _Known(NamedTuple):
    """A translation, and what the catalog answered while it was made."""

    sql: str
    answers: dict[Question, object]


_known: dict[tuple[str, bool, str], _Known] = {}


def prepare() -> None:
    """Read in the grammar, so that the first statement need not."""
    importlib.import_module("local_redshift.sql.translation")


def translate(statement: list[Token], catalog: Catalog, *, autocommit: bool = False) -> str:
    """The PostgreSQL statement that does what the Redshift one does; see translation.translate.

    One that was translated before is not read again, if the catalog answers as it did then.
    """
    sql = text(statement)
    key = (sql, autocommit, catalog.database)
    known = _known.get(key)
    if known is not None and all(_ask(catalog, question) == answer for question, answer in known.answers.items()):
        return known.sql
    noted = _Noted(catalog)
    made = _translated(statement, noted, autocommit)
    if len(sql) <= LONGEST:
        if len(_known) >= MOST:
            _known.clear()
        _known[key] = _Known(made, noted.answers)
    return made


def _translated(statement: list[Token], catalog: Catalog, autocommit: bool) -> str:
    module = importlib.import_module("local_redshift.sql.translation")
    try:
        return str(module.translate(statement, catalog, autocommit=autocommit))
    except RecursionError:
        raise NotSupported("the local stand-in can't read a statement that is nested as deeply as this one") from None
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        # a statement that breaks off where nobody expected it to
        shown = " ".join(text(statement).split())
        raise SyntaxRefused(f"syntax error: this statement can't be read: {shown[:60]}") from None


def _ask(catalog: Catalog, question: Question) -> object:
    kind, *names = question
    answer = getattr(catalog, kind)
    return answer(*names) if callable(answer) else answer


class _Noted:
    """A catalog whose answers are noted."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.answers: dict[Question, object] = {}

    def _noted(self, kind: str, *names: str) -> object:
        question = (kind, *names)
        self.answers[question] = _ask(self._catalog, question)
        return self.answers[question]

    @property
    def database(self) -> str:
        return self._catalog.database

    @property
    def has_late_binding_views(self) -> bool:
        return bool(self._noted("has_late_binding_views"))

    def columns(self, schema: str, table: str) -> Columns | None:
        return self._noted("columns", schema, table)  # type: ignore[return-value]

    def is_view(self, schema: str, name: str) -> bool:
        return bool(self._noted("is_view", schema, name))

    def late_binding_view(self, schema: str, view: str) -> str | None:
        return self._noted("late_binding_view", schema, view)  # type: ignore[return-value]
