"""What COPY is given: each prefix whole or, with [S3] TEMP_DIR, the files of it that are new."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import sql_queries
from pipeline.session import Parameters, Session
from sql_queries import Copy


class Call(NamedTuple):
    """A COPY to be run, and the values for its placeholders."""

    statement: Copy
    parameters: Parameters


@dataclass
class Delivery:
    """What there is to be copied, nothing where nothing is new; `said` says which files are new, if that is known."""

    said: str = ""
    copies: list[Call] = field(default_factory=list)


@contextlib.contextmanager
def delivered(session: Session, *, everything: bool = False, trial: bool = False) -> Iterator[Delivery]:
    """Have the source ready for COPY until the end of the block.

    Without TEMP_DIR each COPY reads its whole prefix. With it, only files are read that were not loaded before, unless
    `everything` says so; `trial` is for COPYs that load nothing. Raise PipelineError, naming the file, where something
    can't be listed, read or written.
    """
    if session.source.temp_dir:
        from pipeline.sources.new_files import new_files_delivered  # it takes a while to load

        with new_files_delivered(session, everything=everything, trial=trial) as delivery:
            yield delivery
    else:
        yield Delivery(
            copies=[
                Call(for_run(session, copy, trial), session.source_parameters)
                for copy in sql_queries.copy_table_queries
            ]
        )


def for_run(session: Session, copy: Copy, trial: bool) -> Copy:
    """Return this COPY as one that loads nothing, or one that leaves out as many bad records as MAXERROR says."""
    if trial:
        return copy.with_options(sql_queries.check_option)
    return copy.with_options(sql_queries.maxerror_option) if session.source.maxerror else copy
