"""Several at once: runs queue up, readers never wait and never see half a load."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest
from helpers import ROOT, STAR, TABLES, Warehouse, event, song
from test_faults import Paused, prepare

pytestmark = pytest.mark.also_on_cluster

STATE = "SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in STAR)
JOINED = "SELECT COUNT(*) FROM songplays p JOIN songs s ON s.song_id = p.song_id"


def start(warehouse: Warehouse, script: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), "--config", str(warehouse.config), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | warehouse.environment,
    )


def finish(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, output + errors


@pytest.mark.parametrize("runs", [2, 4])
def test_runs_at_once_end_in_the_state_of_one(tables: Warehouse, runs: int) -> None:
    tables.use(ROOT / "sample_data")
    finish([start(tables, "etl.py") for _ in range(runs)])
    several = tables.star()
    tables.create_tables()
    tables.etl()
    assert tables.star() == several


@pytest.mark.stand_in_only
def test_run_that_waits_for_another_says_so(tables: Warehouse) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    with contextlib.closing(tables.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK staging_events")
        waiting = start(tables, "etl.py")
        said = next(line for line in waiting.stdout if "waiting for" in line)
        assert "waiting for another run to finish loading" in said
    finish([waiting])


@pytest.mark.stand_in_only
def test_create_tables_says_that_it_waits_for_a_run(tables: Warehouse) -> None:
    with contextlib.closing(tables.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK staging_events")
        waiting = start(tables, "create_tables.py", "--yes")
        said = next(line for line in waiting.stdout if "waiting for" in line)
        assert "a running load has to finish first" in said
    finish([waiting])


@pytest.mark.stand_in_only
def test_reader_never_waits_for_a_load(tables: Warehouse) -> None:
    prepare(tables)
    before = tables.star()
    paused = Paused(tables, "commit")
    tables.queries("SET statement_timeout TO 30000", *(f"SELECT COUNT(*) FROM {table}" for table in STAR))
    assert tables.star() == before
    paused.finish(0)


def test_reader_sees_before_or_after(tables: Warehouse) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    tables.etl()
    tables.use(ROOT / "sample_data")
    seen: list[tuple] = []
    done = threading.Event()

    def read() -> None:
        connection = tables.connect()
        cursor = connection.cursor()
        while not done.is_set():
            cursor.execute(STATE)
            state = cursor.fetchone()
            cursor.execute(JOINED)
            seen.append((*state, cursor.fetchone()[0]))
            connection.commit()
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        loads = [start(tables, "etl.py") for _ in range(2)]
        finish(loads)
    finally:
        done.set()
        reader.join()
    before, after = (1, 1, 1, 1, 1, 1), (*(tables.counts()[table] for table in STAR), 1536)
    assert set(seen) <= {before, after}
    assert before in seen and len(seen) > 10


def test_create_tables_waits_for_a_load(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    finish([start(tables, "etl.py"), start(tables, "create_tables.py", "--yes"), start(tables, "etl.py")])
    # whatever the order was, each found the tables whole
    assert tables.counts()["songplays"] in (0, 1535)


def test_two_create_tables_at_once(tables: Warehouse) -> None:
    finish([start(tables, "create_tables.py", "--yes") for _ in range(3)])
    assert tables.counts() == dict.fromkeys(TABLES, 0)
