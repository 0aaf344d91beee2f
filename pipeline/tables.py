"""Find the tables and count their rows, for create_tables.py, --ping and --status."""

import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg2.extensions import AsIs

import sql_queries
from pipeline.errors import PipelineError, StatementFailed
from pipeline.file_store import file_store_of
from pipeline.progress import announce_wait
from pipeline.run_log import say
from pipeline.session import Session
from pipeline.summary import TABLES, counted, matched_share
from sql_queries import Copy, chosen_schema, drop_table_queries, existing_table, table_count, tables_lock

_NAME = r'"?\w+"?(?:\."?\w+"?)?'
_DROPPED = re.compile(
    rf"\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?({_NAME}(?:\s*,\s*{_NAME})*)(?:\s+(?:CASCADE|RESTRICT))?[\s;]*",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*")


class TableName(NamedTuple):
    """A table as named in a DROP TABLE; the schema is empty if it is not given."""

    schema: str
    table: str
    written: str


def dropped_tables() -> list[TableName]:
    """Return the tables dropped by `drop_table_queries`, in order.

    Raise PipelineError for a query that is not a plain DROP TABLE: its table would be dropped without confirmation.
    """
    names = []
    for query in drop_table_queries:
        listed = _DROPPED.fullmatch(_COMMENT.sub("", query))
        if listed is None:
            raise PipelineError(
                f"drop_table_queries in sql_queries.py: not a plain DROP TABLE: {' '.join(query.split())}"
            )
        for written in listed[1].split(","):
            # names are folded to lower case, even in quotes.
            # https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
            schema, _, table = written.strip().replace('"', "").lower().rpartition(".")
            names.append(TableName(schema, table, written.strip()))
    return names


def count_rows(session: Session, *, lock: bool = False) -> dict[str, int]:
    """Return the number of rows of each existing table.

    With `lock`, lock the tables, so that no rows can be added until the transaction ends. The count includes rows
    committed while LOCK waited, because a transaction's snapshot is taken by its first query, not by LOCK. Without
    `lock`, the count blocks no other session.
    https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
    """
    if lock and (found := existing(session)):
        session.rollback()
        with announce_wait("a load or a reader to finish"):
            session.execute(tables_lock, {"tables": AsIs(", ".join(name.written for name in found))})
    with announce_wait("the row count" + ("" if lock else " (a running load has to finish first)")):
        counts = {
            name.written: session.rows(table_count, {"table": AsIs(name.written)})[0][0] for name in existing(session)
        }
    if not lock:
        session.rollback()
    return counts


def existing(session: Session) -> list[TableName]:
    """Return the tables of `drop_table_queries` that exist."""
    return [name for name in dropped_tables() if session.rows(existing_table, name._asdict())]


def _require(wanted: Sequence[str], there: Sequence[str]) -> None:
    """Raise PipelineError naming the `wanted` tables that do not exist."""
    if missing := [name for name in wanted if name not in there]:
        raise PipelineError(f"missing tables: {', '.join(missing)}; run create_tables.py")


def location_of(session: Session) -> str:
    """Return the location of the tables: database, schema and warehouse."""
    [(schema,)] = session.rows(chosen_schema)
    session.rollback()
    return f"{session.settings.database}.{schema} on {session.settings.location}"


def ping(session: Session) -> None:
    """Check that the warehouse answers, has the tables, and can read the source.

    Raise PipelineError naming each problem.
    """
    [(user, version)] = session.rows(sql_queries.session_identity)
    say(f"connected to {location_of(session)} as {user} ({_short(version)})")
    wanted = [name.written for name in dropped_tables()]
    there = [name.written for name in existing(session)]
    session.rollback()
    _require(wanted, there)
    say(f"all {len(wanted)} tables exist")
    problems = [_source_problem(session, copy) for copy in sql_queries.copy_table_queries]
    if any(problems):
        raise PipelineError("\n".join(problem for problem in problems if problem))
    session.run.log.succeed("everything can be reached")


def _short(version: str) -> str:
    """Return the part of the version that names the Redshift release."""
    at = version.find("Redshift")
    return version[at:] if at >= 0 else version


def _source_problem(session: Session, copy: Copy) -> str:
    """Return the reason why a COPY can't read its source; empty if it can.

    The COPY is given an object name that does not exist, so it tests the role and its permissions, but reads only the
    JSONPaths file and loads nothing.
    """
    parameters = dict(session.source_parameters)
    key = copy.source
    prefix, nothing = parameters[key], f"ping-{os.urandom(4).hex()}"
    parameters[key] = f"{prefix.rstrip('/')}/{nothing}"
    try:
        session.execute(copy.with_options(sql_queries.check_option), parameters)
    except StatementFailed as failure:
        if not re.search(rf"(?:prefix '|path starts with ).*{nothing}", str(failure.cause)):
            return str(failure)
    finally:
        session.rollback()
    try:
        with announce_wait(f"the first file under [S3] {key.upper()}"):
            files = file_store_of(prefix, session.source.region).list(prefix)
            first = next(files, None)
        if first is None:
            return f"{session.settings.path}: [S3] {key.upper()} = {prefix}: no file's name begins with this prefix"
    except PipelineError as error:
        if session.settings.is_local:
            return f"{error}; see [S3] {key.upper()} in {session.settings.path}"
        # not a failure: without TEMP_DIR, only the cluster's role needs read access to the files
        say(f"{key.upper()} can be read by COPY, but this machine can't list the files ({error}): {prefix}")
        return ""
    say(f"{key.upper()} can be read: {prefix}")
    return ""


BAR = 40  # width of the longest bar, in characters
SECONDS = len("2018-11-01 08:31:59")  # length of a timestamp without fractional seconds
SHOWN = 60  # maximum length of "title by artist", in characters


class Star(NamedTuple):
    """The contents of the star schema, for --status. `plays_by_day` has a row per day, `most_played` one per song."""

    tables: list[tuple[str, int, str | None, str | None]]
    last_load: str | None
    files_loaded: int
    plays_by_day: list[tuple[str, int]]
    most_played: list[tuple[str | None, str | None, int]]
    plays: int
    plays_matched: int

    def report(self) -> dict[str, Any]:
        """Return the contents as a dict for the run's JSON report."""
        return {
            "tables": {name: {"rows": rows, "first": first, "last": last} for name, rows, first, last in self.tables},
            "last_load": self.last_load,
            "files_loaded": self.files_loaded,
            "plays_matched": self.plays_matched,
            "plays_by_day": [{"day": day, "plays": plays} for day, plays in self.plays_by_day],
            "most_played": [
                {"title": title, "artist_name": artist, "plays": plays} for title, artist, plays in self.most_played
            ],
        }


def status(session: Session) -> None:
    """Show table sizes and timestamps, plays by day, and the most played songs.

    Raise PipelineError if tables are missing.
    """
    there = [name.table for name in existing(session)]
    _require(TABLES, there)
    star = _read_star(session, "loaded_files" in there)
    session.run.log.star = star.report()
    _show_tables(star)
    if star.plays:
        say(matched_share(star.plays_matched, star.plays))
        say("\nplays by day, 30 days up to the last play")
        _show_bars([(str(day), plays) for day, plays in star.plays_by_day])
    if star.most_played:
        say("\nmost played songs")
        width = len(f"{star.most_played[0][2]:,}")
        for title, artist, plays in star.most_played:
            say(f"  {plays:>{width},}  {_shortened(f'{title} by {artist}' if artist else str(title))}")


def _read_star(session: Session, has_loaded_files: bool) -> Star:
    tables = session.rows(sql_queries.star_summary)
    last_load, files = session.rows(sql_queries.last_load)[0] if has_loaded_files else (None, 0)
    last_play = next(last for name, _, _, last in tables if name == "songplays")
    days = [(day, plays) for day, plays in session.rows(sql_queries.plays_by_day, {"last": last_play})]
    songs = session.rows(sql_queries.most_played_songs)
    session.rollback()
    plays, matched = (int(songs[0][3]), int(songs[0][4])) if songs else (0, 0)
    most_played = [(title, artist, number) for title, artist, number, *_ in songs if title]
    return Star(tables, last_load, files, days, most_played, plays, matched)


def _show_tables(star: Star) -> None:
    width = max(len(f"{rows:,}") for _, rows, _, _ in star.tables)
    for name, rows, first, last in star.tables:
        seen = "seen " if name == "users" else ""
        span = f"   {seen}{first[:SECONDS]} to {last[:SECONDS]} UTC" if first and last else ""
        say(f"  {name:<10} {rows:>{width},} {'row ' if rows == 1 else 'rows'}{span}")
    if star.last_load:
        say(f"last load that used TEMP_DIR: {star.last_load} UTC; {counted(star.files_loaded, 'file')} loaded so far")
    else:
        say("the time of the last load is recorded only if [S3] TEMP_DIR is set")


def _show_bars(rows: list[tuple[str, int]]) -> None:
    most = max(number for _, number in rows)
    for label, number in rows:
        say(f"  {label} {number:>{len(f'{most:,}')},} {_bar(number, most)}")


def _shortened(text: str) -> str:
    """Shorten a string to SHOWN characters; replace control characters with spaces."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= SHOWN else f"{printable[: SHOWN - 1]}…"


def _bar(number: int, most: int) -> str:
    """Return a bar of proportional length, in characters that stdout can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    block = "█" if encoding.lower().startswith("utf") else "#"
    return block * max(1, round(BAR * number / most))
