"""The warehouse that a config names: a cluster, or the stand-in on this machine."""

import psycopg2
from psycopg2 import extensions

from pipeline.cluster import connect_to_cluster
from pipeline.database_errors import first_line, statement_failed
from pipeline.errors import PipelineError, Unreachable
from pipeline.progress import said_if_slow
from pipeline.settings import Settings
from sql_queries import chosen_schema, schema_choice


def open_connection(settings: Settings) -> extensions.connection:
    """Open a connection, in the schema that the settings name.

    Raise PipelineError if the warehouse can't be reached or has no such schema; Unreachable if it may be reached later.
    """
    connection = _connect_to_stand_in(settings) if settings.is_local else connect_to_cluster(settings)
    try:
        if settings.schema:
            _enter_schema(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_schema(connection: extensions.connection, settings: Settings) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(schema_choice, {"schema": settings.schema})
            cursor.execute(chosen_schema)
            found = cursor.fetchone()
        connection.commit()
    except psycopg2.Error as error:
        raise statement_failed(error, schema_choice, None, settings, "nothing was changed") from error
    if found != (settings.schema,):
        raise PipelineError(
            f"{settings.path}: [CLUSTER] SCHEMA = {settings.schema}: there is no such schema; create it first"
        )


def _connect_to_stand_in(settings: Settings) -> extensions.connection:
    import local_redshift  # only where it is used: a cluster needs none of it

    try:
        with said_if_slow("the local server to start"):
            return local_redshift.connect(settings.data_dir, settings.database, settings.user)
    except local_redshift.LocalRedshiftError as error:
        raise PipelineError(f"{error}\nsee [CLUSTER] DATA_DIR in {settings.path}") from error
    except psycopg2.ProgrammingError as error:
        raise PipelineError(f"{settings.path}: [CLUSTER] DB_NAME or DB_USER: {first_line(error)}") from error
    except psycopg2.OperationalError as error:
        raise Unreachable(f"the local server on {settings.data_dir} took no connection: {first_line(error)}") from error
