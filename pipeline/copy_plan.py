"""Plan the COPYs of a run: whole prefixes or, with TEMP_DIR, only new files.

With TEMP_DIR, small files are also packed together.
"""

import contextlib
import datetime as dt
import gzip
import hashlib
import io
import itertools
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import sql_queries
from pipeline.errors import PipelineError
from pipeline.file_store import FileStore, SourceFile, check_name, file_store_of
from pipeline.load_errors import PackedObject
from pipeline.packing import FileList, divide, pack
from pipeline.progress import SoFar, announce_wait, show_progress
from pipeline.run_log import complain, say
from pipeline.session import Parameters, Session
from pipeline.settings import Settings
from pipeline.summary import counted
from sql_queries import Copy

WORDS = {"log_data": "log files", "song_data": "song files"}

# Names of the pipeline's files in TEMP_DIR: warehouse id, start time of the run, file. Files with other names are never
# deleted.
_OURS = re.compile(
    r"etl-(?P<warehouse>[0-9a-f]{16}|check)/(?P<begun>\d{8}T\d{6})-[0-9a-f]{16}/[\w-]+\.(?:manifest|json\.gz)"
)
_ABANDONED = dt.timedelta(days=1)  # age at which files of any warehouse count as leftovers
_BEGUN = "%Y%m%dT%H%M%S"


class Call(NamedTuple):
    """A COPY to run, and the values for its placeholders."""

    statement: Copy
    parameters: Parameters


@dataclass
class CopyPlan:
    """The COPYs to run, if any. With TEMP_DIR, `files` has the number of new files by source."""

    files: dict[str, int] = field(default_factory=dict)
    copies: list[Call] = field(default_factory=list)


@contextlib.contextmanager
def plan_copies(session: Session, *, everything: bool = False, trial: bool = False) -> Iterator[CopyPlan]:
    """Plan the COPYs; their temporary files are deleted at the end of the block.

    Without TEMP_DIR each COPY reads its whole prefix. With it, COPY reads only files that have not been loaded yet,
    unless `everything` is set. `trial` plans COPYs that load nothing. Raise PipelineError if a file can't be listed,
    read or written; the message names the file.
    """
    if session.source.temp_dir:
        with _plan_new_files(session, everything=everything, trial=trial) as plan:
            yield plan
    else:
        yield CopyPlan(
            copies=[
                Call(with_run_options(session, copy, trial), session.source_parameters)
                for copy in sql_queries.copy_table_queries
            ]
        )


def with_run_options(session: Session, copy: Copy, trial: bool) -> Copy:
    """Add this run's COPY options: load nothing, or skip up to MAXERROR bad records."""
    if trial:
        return copy.with_options(sql_queries.check_option)
    return copy.with_options(sql_queries.maxerror_option) if session.source.maxerror else copy


@contextlib.contextmanager
def _plan_new_files(session: Session, *, everything: bool, trial: bool) -> Iterator[CopyPlan]:
    """Plan COPYs of new files, with manifests under TEMP_DIR; see `plan_copies`.

    Unless `trial` is set, the caller must hold the lock on the staging tables. With the lock held, no other load is
    running, and all other files of this warehouse under TEMP_DIR are leftovers of killed loads.
    """
    folder = TempFolder(session.settings, "check" if trial else warehouse_id(session))
    try:
        folder.clear_left_over()
        yield _prepare(session, folder, everything, trial)
    finally:
        folder.remove()


def warehouse_id(session: Session) -> str:
    """Return this warehouse's id: a hash of its location and a random mark.

    The mark is a string stored as a comment on the table loaded_files. The id includes the location because a restored
    snapshot or a copied data directory has the same mark. Create loaded_files and the mark if they do not exist yet.
    """
    session.execute(sql_queries.loaded_files_table_create)
    [(mark,)] = session.rows(sql_queries.loaded_files_marked)
    if mark is None:
        mark = os.urandom(8).hex()
        session.execute(sql_queries.loaded_files_mark, {"mark": mark})
    [(schema,)] = session.rows(sql_queries.chosen_schema)
    settings = session.settings
    machine = platform.node() if settings.is_local else ""
    return _digest("|".join((machine, settings.location, settings.database, str(schema), str(mark))))[:16]


def _prepare(session: Session, folder: "TempFolder", everything: bool, trial: bool) -> CopyPlan:
    with tempfile.TemporaryFile() as spool:
        with gzip.open(spool, "wt", encoding="utf-8") as record:
            found = {
                source: _find(session, source, None if trial else record, known=not (everything or trial))
                for source in WORDS
            }
        counts = [f"{one.new:,} of {one.total:,} {WORDS[source]}" for source, one in found.items()]
        counts[0] += " are read" if everything else " are new"
        if not trial:
            say(", ".join(counts))
        spool.seek(0)
        recorded = _record(session, folder, spool) if any(one.new for one in found.values()) and not trial else []
    copies = [
        call
        for copy in sql_queries.copy_table_queries
        for call in _copies(session, folder, copy, found[copy.source].files, trial)
    ]
    return CopyPlan({source: one.new for source, one in found.items()}, copies + recorded)


@dataclass
class _Found:
    """A source's total number of files, number of new files, and non-empty new files."""

    total: int = 0
    new: int = 0
    files: FileList = field(default_factory=FileList)


def _find(session: Session, source: str, record: IO[str] | None, *, known: bool) -> _Found:
    """List the files of a source; write the new or changed ones to `record`."""
    prefix = session.source_parameters[source]
    loaded = _loaded(session, source) if known else set()
    found = _Found()
    with announce_wait(f"the list of {WORDS[source]}"):
        for file in file_store_of(prefix, session.source_parameters["region"]).list(prefix):
            session.run.check()
            check_name(file.name)
            found.total += 1
            if _digest(f"{file.name}|{file.version}") not in loaded:
                found.new += 1
                if record is not None:
                    line = {"source": source, "file": file.name, "version": file.version}
                    record.write(json.dumps(line, ensure_ascii=False) + "\n")
                if file.size:
                    found.files.append(file)
    if not found.total:
        raise PipelineError(
            f"no file's name starts with {prefix}; see [S3] {source.upper()} in {session.settings.path}"
        )
    found.files.sort()
    return found


def _digest(text: str) -> str:
    # MD5, as in the query `known_files`; FIPS mode allows it with usedforsecurity=False
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _loaded(session: Session, source: str) -> set[str]:
    """Return a hash of name and version for each file that has been loaded."""
    with session.execute(sql_queries.known_files, {"source": source}) as cursor:
        return {digest for (digest,) in cursor}


def _copies(session: Session, folder: "TempFolder", copy: Copy, files: FileList, trial: bool) -> Iterator[Call]:
    """Yield the COPYs that load these files: one for packed files, one for the rest."""
    store = file_store_of(session.source_parameters[copy.source], session.source_parameters["region"])
    small, others = divide(store, files)
    objects, left = _packed(session, folder, copy.source, store, small)
    listed = with_run_options(session, copy.of_manifest(), trial)
    for statement, names, stem in (
        (listed, [file.name for file in itertools.chain(others, left)], copy.source),
        (listed.with_options(sql_queries.packed_option), [made.name for made in objects], f"{copy.source}-packed"),
    ):
        if names:
            manifest = folder.write(f"{stem}.manifest", io.BytesIO(_manifest(names)))
            yield Call(statement, {**session.source_parameters, "manifest": manifest})


def _packed(
    session: Session, folder: "TempFolder", source: str, store: FileStore, files: FileList
) -> tuple[list[PackedObject], list[SourceFile]]:
    if not files:
        return [], []
    watch = _PackWatch(session, len(files))
    started = time.monotonic()
    with show_progress(f"packing {WORDS[source]}", watch, session.run.log.position):
        packed = pack(store, files, lambda stem, data: folder.write(f"{source}-{stem}", data), watch.count)
    session.run.check()  # raises Stopped if the run is stopping: no line may follow its final message
    session.packed |= {made.name: made for made in packed.objects}
    count, size = len(files) - len(packed.left), files.size - sum(file.size for file in packed.left)
    what = f"{count:,} {WORDS[source]}, {size / 1e6:,.1f} MB, into {counted(len(packed.objects), 'object')}"
    say(f"packed {what} in {time.monotonic() - started:.2f} s")
    return packed.objects, packed.left


class _PackWatch:
    """Count packed files; raise Stopped if the run is stopping."""

    def __init__(self, session: Session, files: int) -> None:
        self._session = session
        self._files = files
        self._done = 0
        self._bytes = 0

    def count(self, file: SourceFile) -> None:
        self._session.run.check()
        self._done += 1
        self._bytes += file.size

    def __call__(self) -> SoFar:
        return SoFar(self._done, self._files, f"{self._bytes / 1e6:,.1f} MB")

    def close(self) -> None:
        pass


def _manifest(names: Iterable[str]) -> bytes:
    # https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html
    return json.dumps({"entries": [{"url": name, "mandatory": True} for name in names]}, ensure_ascii=False).encode()


def _record(session: Session, folder: "TempFolder", written: IO[bytes]) -> list[Call]:
    """Create the table of new files; return the COPY that fills it."""
    session.execute(sql_queries.new_files_create)
    parameters = {**session.source_parameters, "files": folder.write("files.json.gz", written)}
    return [Call(sql_queries.new_files_copy, parameters)]


class TempFolder:
    """The folder under TEMP_DIR that one run writes to."""

    def __init__(self, settings: Settings, warehouse: str) -> None:
        """`warehouse` is the id of the warehouse, or "check" for a run that loads nothing."""
        if settings.source is None:
            raise ValueError("the settings of the source ([S3]) were not read")
        self._config = settings.path
        self._temp_dir = settings.source.temp_dir
        self._warehouse = warehouse
        begun = dt.datetime.now(dt.timezone.utc).strftime(_BEGUN)
        self._path = f"{self._temp_dir}/etl-{warehouse}/{begun}-{os.urandom(8).hex()}"
        self._store: FileStore = file_store_of(self._path, settings.source.region)
        self._written: list[str] = []

    def write(self, stem: str, data: IO[bytes]) -> str:
        """Write a file; return its full name."""
        name = f"{self._path}/{stem}"
        self._written.append(name)
        with self._named():
            self._store.write(name, data)
        return name

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Add a reference to [S3] TEMP_DIR to errors raised in the block."""
        try:
            yield
        except PipelineError as error:
            raise type(error)(f"{error}; see [S3] TEMP_DIR in {self._config}") from error

    def clear_left_over(self) -> None:
        """Delete files that killed runs left: all over a day old and, in a load, all of this warehouse's."""
        with self._named(), announce_wait("the list of files under TEMP_DIR"):
            found = [file.name for file in self._store.list(f"{self._temp_dir}/etl-")]
        self._delete([name for name in found if self._is_left_over(name.removeprefix(f"{self._temp_dir}/"))])

    def _is_left_over(self, name: str) -> bool:
        ours = _OURS.fullmatch(name)
        if ours is None:
            return False
        try:
            begun = dt.datetime.strptime(ours["begun"], _BEGUN).replace(tzinfo=dt.timezone.utc)
        except ValueError:
            return False
        is_old = dt.datetime.now(dt.timezone.utc) - begun > _ABANDONED
        return is_old or (ours["warehouse"] == self._warehouse != "check")

    def remove(self) -> None:
        """Delete this run's files; print a message if that fails."""
        self._delete(self._written)

    def _delete(self, names: list[str]) -> None:
        try:
            self._store.delete(names)
        except PipelineError as error:
            complain(f"{error}\nthe remaining files do no harm")
            return
        if not self._temp_dir.startswith("s3://"):
            folders = {Path(name).parent for name in names}
            for path in [*folders, *(folder.parent for folder in folders)]:
                with contextlib.suppress(OSError):  # the folder is not empty
                    path.rmdir()
