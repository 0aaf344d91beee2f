"""What COPY is given: each prefix whole or, with [S3] TEMP_DIR, the files of it that are new."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import sql_queries
from pipeline.session import Parameters, Session


class Statement(NamedTuple):
    """A statement to be run, and the values for its placeholders."""

    query: str
    parameters: Parameters


@dataclass
class Delivery:
    """What there is to be copied: the statements that do it and record it, none where nothing is new."""

    said: str = ""
    statements: list[Statement] = field(default_factory=list)


@contextlib.contextmanager
def delivered(session: Session, *, everything: bool = False, trial: bool = False) -> Iterator[Delivery]:
    """Have the source ready for COPY until the end of the block.

    Without TEMP_DIR each COPY reads its whole prefix. With it, only files are read that were not loaded before, unless
    `everything` says so; `trial` is for COPYs that load nothing. Raise PipelineError, naming the file, where something
    can't be listed, read or written.
    """
    if session.settings.source is not None and session.settings.source.temp_dir:
        from pipeline.sources.new_files import new_files_delivered  # it takes a while to load

        with new_files_delivered(session, everything=everything, trial=trial) as delivery:
            yield delivery
    else:
        queries = sql_queries.try_copy_queries if trial else lenient(session, sql_queries.copy_table_queries)
        yield Delivery(statements=[Statement(query, session.source_parameters) for query in queries])


def lenient(session: Session, queries: list[str]) -> list[str]:
    """Return these COPYs; if [S3] MAXERROR is set, such that leave out so many bad records."""
    return [query + sql_queries.maxerror_option for query in queries] if session.source.maxerror else queries
