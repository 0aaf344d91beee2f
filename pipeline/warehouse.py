"""The warehouse that a config names: a cluster, or the stand-in on this machine."""

import psycopg2
from psycopg2 import extensions

import sql_queries
from pipeline.cluster import connect_to_cluster
from pipeline.database_errors import first_line
from pipeline.errors import PipelineError, Unreachable
from pipeline.progress import said_if_slow
from pipeline.settings import Settings


def open_connection(settings: Settings) -> extensions.connection:
    """Open a connection. Raise PipelineError if the warehouse can't be reached; Unreachable if it may be later."""
    return _connect_to_stand_in(settings) if settings.is_local else connect_to_cluster(settings)


def _connect_to_stand_in(settings: Settings) -> extensions.connection:
    import local_redshift  # only where it is used: a cluster needs none of it

    try:
        with said_if_slow("the local server to start"):
            return local_redshift.connect(settings.data_dir, settings.database, settings.user)
    except local_redshift.LocalRedshiftError as error:
        raise PipelineError(str(error)) from error
    except psycopg2.OperationalError as error:
        raise Unreachable(f"the local server on {settings.data_dir} ended: {first_line(error)}") from error


def enter_schema(connection: extensions.connection, settings: Settings) -> None:
    """Have the tables be those of [CLUSTER] SCHEMA. Raise PipelineError if there is no such schema."""
    with connection.cursor() as cursor:
        cursor.execute(sql_queries.schema_choice, {"schema": settings.schema})
        cursor.execute(sql_queries.chosen_schema)
        found = cursor.fetchone()
    connection.commit()
    if found != (settings.schema,):
        connection.close()
        raise PipelineError(
            f"{settings.path}: [CLUSTER] SCHEMA = {settings.schema}: there is no such schema; create it first"
        )
