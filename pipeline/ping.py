"""etl.py --ping: whether a load could begin, found out in seconds and without reading the data."""

import os
import re

import sql_queries
from pipeline.errors import PipelineError, StatementFailed
from pipeline.existing_tables import dropped_tables, existing, location_of
from pipeline.progress import said_if_slow
from pipeline.session import Session
from pipeline.terminal import say
from sql_queries import Copy


def ping(session: Session) -> None:
    """Tell whom the warehouse knows us as, whether the tables are there, and whether it can read the source.

    Raise PipelineError, naming each, for what is not as it must be.
    """
    [(user, version)] = session.rows(sql_queries.session_identity)
    say(f"connected to {location_of(session)} as {user} ({_short(version)})")
    wanted = [name.written for name in dropped_tables()]
    there = existing(session)
    missing = [name for name in wanted if name not in there]
    session.rollback()
    if missing:
        raise PipelineError(f"not there: {', '.join(missing)}; run create_tables.py")
    say(f"all {len(wanted)} tables are there")
    problems = [_source_problem(session, copy) for copy in sql_queries.copy_table_queries]
    if any(problems):
        raise PipelineError("\n".join(problem for problem in problems if problem))


def _short(version: str) -> str:
    """The part of the version that says which Redshift it is."""
    at = version.find("Redshift")
    return version[at:] if at >= 0 else version


def _source_problem(session: Session, copy: Copy) -> str:
    """Why a COPY can't read its source; empty where it can.

    It is given the name of an object that is not there, and loads nothing: that it finds none needs the role and the
    rights, and reads nothing but the JSONPaths file.
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
    from pipeline.sources.places import place_of  # it takes a while to load

    try:
        with said_if_slow(f"the first file under [S3] {key.upper()}"):
            files = place_of(prefix, session.source.region).list(prefix)
            first = next(files, None)
        if first is None:
            return f"{session.settings.path}: [S3] {key.upper()} = {prefix}: no file's name begins with that"
    except PipelineError as error:
        if session.settings.is_local:
            return f"{error}; see [S3] {key.upper()} in {session.settings.path}"
        # on a cluster it is the role that reads
        say(f"{key.upper()} can be read, but whether there are files was not seen from here ({error}): {prefix}")
        return ""
    say(f"{key.upper()} can be read: {prefix}")
    return ""
