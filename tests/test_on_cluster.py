"""What a cluster is asked for that a load with local paths is not; and that the tests can run on a cluster."""

import contextlib
import csv
import io
from pathlib import Path

import pytest
from cluster_warehouse import ClusterWarehouse
from helpers import Warehouse, event, song

from common import connect
from local_redshift.client import get_server
from pipeline.errors import PipelineError

pytestmark = pytest.mark.also_on_cluster


def test_broken_file_is_named_with_line_and_column(tables: Warehouse) -> None:
    tables.write_log([event(), event(userId="me")])
    tables.write_songs([song()])
    errors = tables.etl(code=1).stderr
    assert "log-data/2018-11-01-events.json, line 2, column user_id" in errors
    with open(tables.folder / "load_errors.csv", newline="") as file:
        latest = next(csv.DictReader(file))
    # the column has one name in each of the two views
    assert any(value.endswith("2018-11-01-events.json") for value in latest.values())
    assert tables.counts()["songplays"] == 0


def test_tables_are_in_the_schema_that_the_config_names(warehouse: Warehouse) -> None:
    schema = warehouse.values.get(("CLUSTER", "SCHEMA"))
    if schema is None:
        schema = "listening"
        warehouse.query(f"CREATE SCHEMA {schema}")
        warehouse.configure({("CLUSTER", "SCHEMA"): schema})
    warehouse.write_log([event()])
    warehouse.write_songs([song()])
    warehouse.create_tables()
    warehouse.etl()
    assert warehouse.query(f"SELECT COUNT(*) FROM {schema}.songplays") == [(1,)]


def test_schema_that_does_not_exist_is_refused(warehouse: Warehouse) -> None:
    warehouse.configure({("CLUSTER", "SCHEMA"): "nowhere"})
    with pytest.raises(PipelineError, match=r"\[CLUSTER\] SCHEMA = nowhere: there is no such schema"):
        connect(warehouse.config)


def test_warehouse_of_the_config_that_is_named_leaves_nothing_behind(tmp_path: Path, bucket: object) -> None:
    tmp_path.chmod(0o755)
    named = tmp_path / "cluster.cfg"
    named.write_text(
        "[CLUSTER]\nHOST = local\nDB_NAME = dwh\nDB_USER = dwhuser\n"
        "[IAM_ROLE]\nARN = arn:aws:iam::123456789012:role/dwhRole\n[TEST]\nPREFIX = s3://sparkify/tests\n"
    )
    (tmp_path / "test").mkdir()
    cluster = ClusterWarehouse(tmp_path / "test", named)
    cluster.write_log([event()])
    cluster.write_songs([song()])
    cluster.create_tables()
    with contextlib.redirect_stdout(io.StringIO()):
        cluster.load()
    assert cluster.counts()["songplays"] == 1
    assert len(list(bucket.objects.all())) == 3
    cluster.remove()
    assert list(bucket.objects.all()) == []
    connection = connect(named)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'test%'")
        assert cursor.fetchone() == (0,)
    connection.close()
    get_server(tmp_path / ".local_redshift").release()
