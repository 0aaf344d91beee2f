"""What a cluster is asked for that a load with local paths is not; and that the tests can run on a cluster."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, Warehouse, event, song

from common import PipelineError, connect


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


def test_suite_runs_against_the_config_that_is_named(tmp_path: Path, bucket: object, aws: dict[str, str]) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "cluster.cfg").write_text(
        "[CLUSTER]\nHOST = local\nDB_NAME = dwh\nDB_USER = dwhuser\n"
        "[IAM_ROLE]\nARN = arn:aws:iam::123456789012:role/dwhRole\n[TEST]\nPREFIX = s3://sparkify/tests\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_etl.py"]
    command += ["-k", "cluster and (rerun or catalogue_song)"]
    environment = os.environ | aws | {"TEST_DWH_CONFIG": str(tmp_path / "cluster.cfg")}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0 and "2 passed" in result.stdout, result.stdout
    assert (tmp_path / ".local_redshift").is_dir()
    assert list(bucket.objects.all()) == []
