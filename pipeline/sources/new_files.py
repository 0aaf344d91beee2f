"""The new files of a source on their way to COPY: listed, compared with what was loaded, packed, named in manifests."""

import contextlib
import datetime as dt
import gzip
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import sql_queries
from pipeline.errors import PipelineError
from pipeline.progress import SoFar, said_if_slow, shown_alive
from pipeline.session import Session
from pipeline.settings import Settings
from pipeline.sources.delivery import Delivery, Statement
from pipeline.sources.origins import PackedFile
from pipeline.sources.packing import pack, small_ones
from pipeline.sources.places import Place, SourceFile, place_of
from pipeline.terminal import complain, say

WORDS = {"log_data": "log files", "song_data": "song files"}

# what this module writes under TEMP_DIR, which is all that it ever deletes there
_OURS = re.compile(r"(?:load|check-(?P<begun>\d{8}T\d{6}))-[0-9a-f]{16}/[\w-]+\.(?:manifest|json\.gz)")
_ABANDONED = dt.timedelta(days=1)  # after which what a --check has written is taken for left behind


@contextlib.contextmanager
def new_files_delivered(session: Session, *, everything: bool, trial: bool) -> Iterator[Delivery]:
    """Have the new files of both sources ready for COPY, under TEMP_DIR, until the end of the block; see `delivered`.

    A load has to hold the lock on the staging tables, so that it is alone under TEMP_DIR.
    """
    folder = TempFolder(session.settings, trial)
    try:
        folder.clear_left_over()
        yield _prepare(session, folder, everything or trial, trial)
    finally:
        folder.remove()


def _prepare(session: Session, folder: "TempFolder", everything: bool, trial: bool) -> Delivery:
    delivery = Delivery()
    said: list[str] = []
    new: dict[str, list[SourceFile]] = {}
    if not everything:
        session.execute(sql_queries.loaded_files_table_create)  # tables may be older than this one
    for source, words in WORDS.items():
        total, new[source] = _new_files(session, source, everything)
        said.append(f"{len(new[source]):,} of {total:,} {words}{' are new' if not said else ''}")
    delivery.said = ", ".join(said)
    if not trial:
        say(delivery.said)
    for source, files in new.items():
        if files:
            delivery.statements += _copies(session, folder, source, files, trial)
    if delivery.statements and not trial:
        delivery.statements += _record(session, folder, new)
    return delivery


def _new_files(session: Session, source: str, everything: bool) -> tuple[int, list[SourceFile]]:
    """How many files there are under the prefix of a source, and those of them that were not loaded as they are now."""
    prefix = session.source_parameters[source]
    known = set() if everything else _known(session, source)
    total, new = 0, []
    with said_if_slow(f"the list of {WORDS[source]}"):
        for file in place_of(prefix, session.source_parameters["region"]).list(prefix):
            session.run.check()
            total += 1
            if _digest(file.name, file.version) not in known:
                new.append(file)
    if not total:
        raise PipelineError(
            f"no file's name starts with {prefix}; see [S3] {source.upper()} in {session.settings.path}"
        )
    return total, sorted(new)


def _known(session: Session, source: str) -> set[bytes]:
    """Digests of the files that were loaded, with their versions: of hundreds of thousands the names would be large."""
    with session.execute(sql_queries.known_files, {"source": source}) as cursor:
        return {_digest(file, version) for file, version in cursor}


def _digest(file: str, version: str) -> bytes:
    return hashlib.blake2b(f"{file}\0{version}".encode(), digest_size=16).digest()


def _copies(
    session: Session, folder: "TempFolder", source: str, files: list[SourceFile], trial: bool
) -> Iterator[Statement]:
    """The COPYs of these files: of those that go as they are, and of those that are packed."""
    packed, left = _packed(session, folder, source, small_ones(files))
    packing = {file.name for file in small_ones(files)} - {file.name for file in left}
    as_they_are = [file.name for file in files if file.name not in packing]
    listed = sql_queries.try_listed_copy_queries if trial else sql_queries.listed_copy_queries
    packs = sql_queries.try_packed_copy_queries if trial else sql_queries.packed_copy_queries
    for query, names, stem in (
        (listed[source], as_they_are, source),
        (packs[source], [made.name for made in packed], f"{source}-packed"),
    ):
        if names:
            manifest = folder.write(f"{stem}.manifest", _manifest(names))
            yield Statement(query, {**session.source_parameters, "manifest": manifest})


def _packed(
    session: Session, folder: "TempFolder", source: str, files: list[SourceFile]
) -> tuple[list[PackedFile], list[SourceFile]]:
    if not files:
        return [], []
    watch = _PackWatch(session, len(files))
    started = time.monotonic()
    label = f"PACK {WORDS[source]}"
    with shown_alive(label, watch):
        place = place_of(files[0].name, session.source_parameters["region"])
        packed = pack(place, files, folder.place, folder.name(source), watch.count)
    session.packed |= {made.name: made for made in packed.objects}
    folder.written += [made.name for made in packed.objects]
    size = sum(file.size for file in files) / 1e6
    objects = f"{len(packed.objects)} object{'s' if len(packed.objects) != 1 else ''}"
    say(f"{label}: {len(files):,} files, {size:,.1f} MB, into {objects} in {time.monotonic() - started:.2f} s")
    return packed.objects, packed.left


class _PackWatch:
    """How many files have been packed so far; ends the packing where the run is to stop."""

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


def _record(session: Session, folder: "TempFolder", new: Mapping[str, Sequence[SourceFile]]) -> list[Statement]:
    """The statements that record the new files, which are written down for them."""
    lines = (
        json.dumps({"source": source, "file": file.name, "version": file.version}, ensure_ascii=False) + "\n"
        for source, files in new.items()
        for file in files
    )
    listed = folder.write("files.json.gz", gzip.compress("".join(lines).encode()))
    parameters = {**session.source_parameters, "files": listed}
    return [Statement(query, parameters) for query in sql_queries.record_files_queries]


class TempFolder:
    """The folder under TEMP_DIR of this run, beside those of other runs of the same warehouse."""

    def __init__(self, settings: Settings, trial: bool) -> None:
        if settings.source is None:
            raise ValueError("these settings were read without their source")
        target = f"{settings.place}/{settings.database}/{settings.schema}"
        self._warehouse = f"{settings.source.temp_dir}/etl-{hashlib.sha256(target.encode()).hexdigest()[:12]}"
        begun = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%S")
        self._trial = trial
        self._path = f"{self._warehouse}/{f'check-{begun}' if trial else 'load'}-{os.urandom(8).hex()}"
        self.place: Place = place_of(self._warehouse, settings.source.region)
        self.written: list[str] = []

    def name(self, stem: str) -> str:
        """The full name of a file of this folder."""
        return f"{self._path}/{stem}"

    def write(self, stem: str, data: bytes) -> str:
        """Write a file; its full name."""
        name = self.name(stem)
        self.written.append(name)
        self.place.write(name, data)
        return name

    def clear_left_over(self) -> None:
        """Delete what killed runs have left behind: loads, if this is one and so the only one, and old checks."""
        found = [file.name for file in self.place.list(f"{self._warehouse}/")]
        self._delete([name for name in found if self._is_left_over(name.removeprefix(f"{self._warehouse}/"))])

    def _is_left_over(self, name: str) -> bool:
        ours = _OURS.fullmatch(name)
        if ours is None:
            return False
        if ours["begun"] is None:
            return not self._trial
        begun = dt.datetime.strptime(ours["begun"], "%Y%m%dT%H%M%S").replace(tzinfo=dt.timezone.utc)
        return dt.datetime.now(dt.timezone.utc) - begun > _ABANDONED

    def remove(self) -> None:
        """Delete what this run has written; where that fails, say so, since the next run will see to it."""
        self._delete(self.written)

    def _delete(self, names: list[str]) -> None:
        try:
            self.place.delete(names)
        except PipelineError as error:
            complain(f"{error}\nwhat is left there does no harm")
            return
        if not self._warehouse.startswith("s3://"):
            folders = {str(Path(name).parent) for name in names}
            for path in [*folders, self._warehouse]:
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
