"""Connecting by a config file, and that no secret gets out."""

import socket

import psycopg2
from helpers import Warehouse, event, song

import common

SECRET = "hunter2-%-'quoted\\"


def test_connect_gives_an_ordinary_connection(tables: Warehouse) -> None:
    connection = common.connect(tables.config)
    assert isinstance(connection, psycopg2.extensions.connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT TOP 1 tablename FROM pg_tables WHERE tablename = %s", ["songplays"])
        assert cursor.fetchall() == [("songplays",)]
    connection.close()


def test_connect_goes_to_host_port_database_and_user(
    warehouse: Warehouse, database: psycopg2.extensions.connection
) -> None:
    # a host that is a folder is a Unix socket there: the stand-in's server, reached as a cluster is
    settings = database.get_dsn_parameters()
    warehouse.configure(
        {
            ("CLUSTER", "HOST"): settings["host"],
            ("CLUSTER", "DB_PORT"): "5432",
            ("CLUSTER", "DB_NAME"): settings["dbname"],
            ("CLUSTER", "DB_USER"): settings["user"],
            ("CLUSTER", "DB_PASSWORD"): "unused",
        }
    )
    connection = common.connect(warehouse.config)
    assert type(connection) is psycopg2.extensions.connection
    assert connection.info.dbname == settings["dbname"]
    connection.close()


def test_refusing_host_is_one_message_without_the_password(warehouse: Warehouse) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        warehouse.configure(
            {
                ("CLUSTER", "HOST"): "127.0.0.1",
                ("CLUSTER", "DB_PORT"): str(port),
                ("CLUSTER", "DB_PASSWORD"): SECRET,
            }
        )
        result = warehouse.run("create_tables.py", code=1)
    assert f"can't connect to {warehouse.values['CLUSTER', 'DB_NAME']} on 127.0.0.1:{port}" in result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_no_secret_in_any_output(tables: Warehouse, aws: dict[str, str], bucket: object) -> None:
    secret_key = "SECRET-KEY-OF-MINE"
    tables.environment = aws | {"AWS_SECRET_ACCESS_KEY": secret_key, "PGPASSWORD": SECRET}
    tables.configure({("CLUSTER", "DB_PASSWORD"): SECRET})
    tables.write_log([event(sessionId="x")])
    tables.write_songs([song()])
    failed_load = tables.etl(code=1)
    tables.configure({("S3", "LOG_DATA"): "s3://sparkify/nothing"})
    failed_source = tables.etl(code=1)
    csv_text = (tables.folder / "load_errors.csv").read_text()
    for output in (failed_load.stdout, failed_load.stderr, failed_source.stdout, failed_source.stderr, csv_text):
        assert SECRET not in output and secret_key not in output
    assert "The specified S3 prefix 'nothing' does not exist" in failed_source.stderr


def test_failure_of_which_the_system_tables_know_nothing_is_said_so(tables: Warehouse) -> None:
    with tables.session() as session:
        place, saved = common.save_load_errors(session)
    assert place == "" and saved.startswith("the system table has no row for this failure\n")
