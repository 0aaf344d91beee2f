"""Time the pipeline on data of any size, and the same job in DuckDB if it is installed.

    python benchmarks/run.py [--events 1000000] [--songs 15000] [--runs 5] [--data DIR]

Each round starts from an empty data directory and runs create_tables.py (not timed), then etl.py twice. The script
prints medians: seconds per step and in total, events per second, peak memory of the Python process and of the process
tree, DuckDB's time, and the ratio of etl.py's first run to DuckDB's run in the same round. The data is generated,
unless --data names a directory with log-data, song-data and log_json_path.json.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SAMPLED_EVERY = 0.05  # seconds between memory samples

CONFIG = """
[CLUSTER]
HOST = local
DB_NAME = dwh
DB_USER = dwhuser
DATA_DIR = {folder}/warehouse
[IAM_ROLE]
ARN = arn:aws:iam::123456789012:role/dwhRole
[S3]
LOG_DATA = {data}/log-data
LOG_JSONPATH = {data}/log_json_path.json
SONG_DATA = {data}/song-data
"""


def generate(folder: Path, events: int, songs: int, days: int, seed: int = 1) -> Path:
    """Generate a data set; return its folder."""
    sizes = {"events": events, "songs": songs, "days": days, "seed": seed}
    options = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    generator = str(ROOT / "sample_data" / "generate.py")
    subprocess.run([sys.executable, generator, "--out", str(folder), *options], check=True)
    return folder


def resident(process: psutil.Process) -> tuple[int, int]:
    """Return the resident bytes of a process and of its process tree. Shared pages count once in the tree."""
    own, private, shared = 0, 0, 0
    try:
        for one in [process, *process.children(recursive=True)]:
            memory = one.memory_info()
            own = own or memory.rss
            private += memory.rss - getattr(memory, "shared", 0)
            shared = max(shared, getattr(memory, "shared", 0))
    except psutil.NoSuchProcess:
        pass
    return own, private + shared


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run a command; return its seconds, peak memory in MB, and seconds per step.

    Memory is measured for the process alone and for its process tree. Steps are parsed from the output.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    peaks = [0, 0]

    def watch() -> None:
        while process.poll() is None:
            peaks[:] = map(max, peaks, resident(psutil.Process(process.pid)))
            time.sleep(SAMPLED_EVERY)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{command} failed")
    step_line = r"^\S+Z  (packed|\w+(?=:)).*?(\d+\.\d\d) s$"
    steps = re.findall(step_line, output, re.MULTILINE)
    found = defaultdict(float)
    for step, took in steps:
        found[step] += float(took)
    return {"whole": seconds, "python MB": peaks[0] / 1e6, "tree MB": peaks[1] / 1e6, **found}


def one_round(data: Path, with_duckdb: bool) -> dict[str, dict[str, float]]:
    """Time a first load, a rerun, and the same job in DuckDB."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "dwh.cfg"
        config.write_text(CONFIG.format(folder=folder, data=data))
        etl = [sys.executable, "etl.py", "-v", "--config", str(config)]
        create = [sys.executable, "create_tables.py", "--config", str(config), "--yes"]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        found = {"etl.py": measured(etl), "etl.py again": measured(etl)}
        if with_duckdb:
            peer = [sys.executable, str(ROOT / "benchmarks" / "duckdb_peer.py"), str(data), f"{folder}/duck.db"]
            found["DuckDB"] = measured(peer)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--songs", type=int, default=15_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    try:
        duckdb = version("duckdb")
    except ImportError:
        duckdb = None
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}, DuckDB {duckdb}")
    with tempfile.TemporaryDirectory() as made:
        data = (arguments.data or Path(made)).resolve()
        if arguments.data is None:
            generate(data, arguments.events, arguments.songs, max(1, arguments.events // 40_000))
        rounds = [one_round(data, duckdb is not None) for _ in range(arguments.runs)]
    report(rounds, arguments.events)


def report(rounds: list[dict[str, dict[str, float]]], events: int) -> None:
    """Print the median and range of each step's time and of memory, the events per second, and how the times compare.

    The times are compared with those of the second run and of DuckDB.
    """
    medians = {}
    for name in rounds[0]:
        print(f"\n{name}")
        for step in rounds[0][name]:
            values = [one[name][step] for one in rounds]
            median = medians[name, step] = statistics.median(values)
            if median >= 0.05:
                print(f"  {step:<26}{median:>9.2f}   ({min(values):.2f} to {max(values):.2f})")
        print(f"  {'events a second':<26}{events / medians[name, 'whole']:>9,.0f}")
    print(f"\nthe rerun takes {medians['etl.py again', 'whole'] / medians['etl.py', 'whole']:.2f} times the first run")
    if ("DuckDB", "whole") in medians:
        ratio = statistics.median(one["etl.py"]["whole"] / one["DuckDB"]["whole"] for one in rounds)
        print(f"etl.py takes {ratio:.2f} times DuckDB's time (median of the rounds)")


if __name__ == "__main__":
    main()
