"""Make small slips in the code, one at a time, and list those that no test notices. A developer's tool.

    python tests/slips.py [FILE ...] [--sample N] [--jobs 2] [--list]

FILE is sql_queries.py or a Python file of the project (default: all that TESTS names). For each slip the tests that
matter for its file run in a copy of the project, the quickest first, until one fails. What stays unnoticed is either a
hole in the tests or a slip that changes nothing: those are in slips_equivalent.txt, each with its reason.
"""

import argparse
import collections
import concurrent.futures
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from slip_rules import Slip, python_slips, sql_slips

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("slips_equivalent.txt")
SECONDS = 240  # past this a slip has made a test hang, which notices it

VALUES = ("local_redshift/test_copy_values.py",)
STAND_IN = ("local_redshift",)
# for each file the tests that matter for it, in rounds: the next one is for what the last has not noticed
TESTS = {
    "sql_queries.py": (
        ("test_declared.py", "test_model.py"),
        ("test_sql_queries.py", "test_checks.py", "test_create_tables.py", "test_etl.py", "test_load_errors.py"),
        ("test_incremental.py", "test_concurrency.py", "test_retry.py", "test_progress.py", "test_on_cluster.py"),
    ),
    "etl.py": (
        ("test_etl.py",),
        ("test_load_errors.py", "test_messages.py", "test_checks.py", "test_faults.py", "test_retry.py"),
    ),
    "create_tables.py": (("test_create_tables.py",), ("test_bad_input.py", "test_stops.py", "test_concurrency.py")),
    "common.py": (("test_messages.py",), ("test_load_errors.py", "test_etl.py", "test_common.py", "test_progress.py")),
    "pipeline/settings.py": (("test_settings.py",), ("test_common.py", "test_bad_input.py")),
    "pipeline/config_file.py": (("test_settings.py",), ("test_bad_input.py",)),
    "pipeline/credentials.py": (("test_credentials.py", "test_cluster.py"), ("test_stops.py",)),
    "pipeline/cluster.py": (("test_cluster.py",), ("test_common.py", "test_bad_input.py")),
    "pipeline/database_errors.py": (("test_messages.py", "test_retry.py"), ("test_stops.py", "test_etl.py")),
    "pipeline/load_errors.py": (("test_messages.py",), ("test_load_errors.py", "test_on_cluster.py")),
    "pipeline/existing_tables.py": (("test_create_tables.py",), ("test_bad_input.py",)),
    "pipeline/retry.py": (("test_retry.py",), ("test_stops.py", "test_faults.py")),
    "pipeline/run.py": (("test_stops.py",), ("test_retry.py", "test_faults.py")),
    "pipeline/session.py": (("test_retry.py",), ("test_stops.py", "test_faults.py", "test_on_cluster.py")),
    "pipeline/command_line.py": (("test_messages.py",), ("test_stops.py", "test_common.py")),
    "pipeline/signals.py": (("test_stops.py",), ("test_faults.py",)),
    "pipeline/progress.py": (("test_progress.py",), ("test_stops.py",)),
    "pipeline/cancel.py": (("test_stops.py", "test_faults.py"),),
    "local_redshift/copy/values.py": (VALUES, STAND_IN),
    "local_redshift/copy/numeric.py": (VALUES, STAND_IN),
    "local_redshift/copy/texts.py": (VALUES, STAND_IN),
    "local_redshift/copy/field.py": (VALUES, STAND_IN),
    "local_redshift/copy/datetimes.py": (VALUES, STAND_IN),
    "local_redshift/copy/exact.py": (VALUES, STAND_IN),
    "local_redshift/copy/records.py": (("local_redshift/test_copy_records.py",), STAND_IN),
    "local_redshift/copy/jsonpaths.py": (("local_redshift/test_copy_records.py",), STAND_IN),
    "local_redshift/copy/fast.py": (("local_redshift/test_copy_fast.py",), STAND_IN, ("test_model.py",)),
}


def slips_of(name: str) -> list[Slip]:
    source = (ROOT / name).read_text(encoding="utf-8")
    return list(sql_slips(source) if name == "sql_queries.py" else python_slips(source))


def is_noticed(project: Path, name: str, slip: Slip) -> bool:
    """Make the slip in this copy of the project, run the tests, and take it back."""
    path = project / name
    before = path.read_text(encoding="utf-8")
    path.write_text(slip.text, encoding="utf-8")
    try:
        return any(tests_fail(project, round_) for round_ in TESTS[name])
    finally:
        path.write_text(before, encoding="utf-8")


def tests_fail(project: Path, files: tuple[str, ...]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [*command, *(f"tests/{file}" for file in files)],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(SECONDS) != 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return True


def equivalent() -> dict[str, str]:
    """The slips that change nothing, with the reason for each."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    return dict(line.split(" # ", 1) for line in lines if " # " in line)


def described(name: str, slip: Slip) -> str:
    return f"{name}: {slip.where}: {slip.what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=list(TESTS))
    parser.add_argument("--sample", type=int, help="only so many of each file, drawn by chance")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="list the slips and run nothing")
    arguments = parser.parse_args()
    rng = random.Random(1)
    todo = []
    for name in arguments.files:
        slips = slips_of(name)
        todo += [(name, slip) for slip in (rng.sample(slips, min(arguments.sample or len(slips), len(slips))))]
    if arguments.list:
        print("\n".join(described(*one) for one in todo))
        return 0
    return report(try_all(todo, arguments.jobs))


def try_all(todo: list[tuple[str, Slip]], jobs: int) -> list[tuple[str, Slip, bool]]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(jobs):
            ignored = shutil.ignore_patterns(".git", ".venv", ".local_redshift", "__pycache__")
            copies.put(Path(shutil.copytree(ROOT, Path(folder) / str(number) / "project", ignore=ignored)))

        def try_one(one: tuple[str, Slip]) -> tuple[str, Slip, bool]:
            project = copies.get()
            noticed = is_noticed(project, *one)
            copies.put(project)
            print(f"{'noticed  ' if noticed else 'UNNOTICED'} {described(*one)}", flush=True)
            return *one, noticed

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(try_one, todo))


def report(tried: list[tuple[str, Slip, bool]]) -> int:
    """Print the counts by file; 1 if something stays unnoticed that is not listed as equivalent."""
    known = equivalent()
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    holes = []
    for name, slip, noticed in tried:
        kind = "noticed" if noticed else "equivalent" if described(name, slip) in known else "unnoticed"
        counts[name][kind] += 1
        if kind == "unnoticed":
            holes.append(described(name, slip))
    for name, by_kind in counts.items():
        total = sum(by_kind.values())
        share = (by_kind["noticed"] + by_kind["equivalent"]) / total
        print(f"{name}: {total} slips, {dict(by_kind)}, {share:.1%} noticed or equivalent")
    print("\n".join(["unnoticed:", *holes]) if holes else "nothing is unnoticed")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
