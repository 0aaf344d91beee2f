"""Make small slips in the code, one at a time, and list those that no test notices. A developer's tool.

    python tests/slips.py [FILE ...] [--only NAMES] [--sample N] [--jobs 2] [--list]

FILE is sql_queries.py or a Python file of the project (default: it and all that TESTS names). For each slip the tests
that matter run in a copy of the project, the quickest first (for SQL, the model itself), until one fails. What stays
unnoticed is either a hole in the tests or a slip that changes nothing: those are in slips_equivalent.txt, each with its
reason, and are not tried, since they would take the longest.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from slip_rules import Slip, python_slips, sql_slips

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")  # where Linux has one: files in memory
EQUIVALENT = Path(__file__).with_name("slips_equivalent.txt")
# pytest's exit statuses that matter here; a slip may also keep a module or conftest.py from being imported (2 and 4)
PASSED, BROKE_DOWN, NO_TESTS = 0, 3, 5
SECONDS = 240  # past this a slip has made a test hang, which notices it

VALUES = ("local_redshift/test_copy_values.py",)
COPY = tuple(f"local_redshift/test_copy_{what}.py" for what in ("records", "loading", "fast", "results", "properties"))
# for each file the tests that matter for it, in rounds: the next one is for what the last has not noticed
TESTS = {
    "etl.py": (
        ("test_etl.py",),
        ("test_load_errors.py", "test_messages.py", "test_checks.py", "test_faults.py", "test_retry.py"),
    ),
    "create_tables.py": (("test_create_tables.py",), ("test_bad_input.py", "test_stops.py", "test_concurrency.py")),
    "common.py": (
        ("test_messages.py",),
        ("test_load_errors.py", "test_etl.py", "test_common.py", "test_progress.py", "test_bad_input.py"),
    ),
    "pipeline/checks.py": (("test_checks.py", "test_changed_input.py"), ("test_etl.py", "test_messages.py")),
    "pipeline/source_check.py": (("test_changed_input.py", "test_load_errors.py"),),
    "storage/local_files.py": (("test_local_files.py",), ("test_temp_dir.py",)),
    "pipeline/file_store.py": (("test_temp_dir.py",),),
    "pipeline/packing.py": (("test_temp_dir.py",),),
    "pipeline/copy_plan.py": (("test_temp_dir.py",), ("test_changed_input.py",)),
    "local_redshift/sessions/sort_keys.py": (
        ("local_redshift/test_sort_keys.py",),
        ("test_window.py", "local_redshift/test_sql.py"),
    ),
    "pipeline/settings.py": (("test_settings.py",), ("test_common.py", "test_bad_input.py")),
    "pipeline/config_file.py": (("test_settings.py",), ("test_bad_input.py",)),
    "pipeline/warehouse.py": (
        ("test_credentials.py", "test_cluster.py"),
        ("test_common.py", "test_bad_input.py", "test_stops.py"),
    ),
    "pipeline/failures.py": (("test_messages.py", "test_retry.py"), ("test_stops.py", "test_etl.py")),
    "pipeline/load_errors.py": (
        ("test_messages.py", "test_load_errors.py"),
        ("test_temp_dir.py", "test_on_cluster.py"),
    ),
    "pipeline/tables.py": (("test_create_tables.py",), ("test_bad_input.py", "test_on_cluster.py")),
    "pipeline/session.py": (("test_retry.py", "test_stops.py"), ("test_faults.py", "test_on_cluster.py")),
    "pipeline/script.py": (
        ("test_messages.py", "test_retry.py"),
        ("test_stops.py", "test_common.py", "test_faults.py"),
    ),
    "pipeline/progress.py": (("test_progress.py",), ("test_stops.py",)),
    "pipeline/run_log.py": (("test_run_log.py",), ("test_messages.py",)),
    "local_redshift/copy/values.py": (VALUES, COPY),
    "local_redshift/copy/datetimes.py": (VALUES, COPY),
    "local_redshift/copy/exact.py": (VALUES, COPY),
    "local_redshift/copy/records.py": (("local_redshift/test_copy_records.py",), COPY),
    "local_redshift/copy/jsonpaths.py": (("local_redshift/test_copy_records.py",), COPY),
    "local_redshift/copy/fast.py": (("local_redshift/test_copy_fast.py",), COPY, ("test_model.py",)),
}


# for the statements of sql_queries.py, by their names, once the model has not noticed the slip; -k: pytest's own option
SQL_TESTS = (
    (r"conflicts_check", (("test_changed_input.py", "-kconflict or version"), ("test_changed_input.py",))),
    (r"lost_values_check", (("test_changed_input.py", "-klose or takes_many"), ("test_changed_input.py",))),
    (
        r"(fields|moments)_check|\w+_warning",
        (("test_changed_input.py", "-knoticed or warning or fails or few or named"),),
    ),
    (
        r"(replaced?|earlier|kept|count_staged)_\w+|staged\w*_counts\w*|changed_files|repeated_plays|copied_files\w*"
        r"|table_columns",
        (
            ("test_changed_input.py",),
            ("test_local_files.py", "test_load_errors.py", "test_status.py", "test_etl.py"),
            ("test_incremental.py",),
        ),
    ),
    (r"(loaded|known|new|record)_files\w*", (("test_temp_dir.py", "test_declared.py"),)),
    (
        r"\w+_queries",
        (("test_sql_queries.py", "test_checks.py"), ("test_etl.py", "test_load_errors.py", "test_window.py")),
    ),
    (r"\w+_check|whole_star_window", (("test_checks.py",), ("test_window.py",), ("test_changed_input.py",))),
    (r"(session_)?load_errors\w*", (("test_load_errors.py",), ("test_messages.py",))),
    (r"copy_progress\w*", (("test_progress.py",),)),
    (r"\w*to_rematch\w*", (("test_window.py",), ("test_checks.py", "test_incremental.py"))),
    (r"star_summary|most_played_songs|plays_by_day|last_load", (("test_status.py",),)),
    (r"\w+_summary", (("test_etl.py", "test_window.py", "test_readme.py", "test_messages.py"),)),
    (r"schema_choice|chosen_schema|existing_table", (("test_on_cluster.py",), ("test_create_tables.py",))),
    (r"\w+_table_(drop|create)|table_count|tables_lock", (("test_create_tables.py",), ("test_etl.py",))),
    (r"staging_mark\w*|copy_count|session_number", (("test_retry.py",), ("test_etl.py",))),
    (r".*", (("test_etl.py", "test_window.py"), ("test_sql_queries.py", "test_incremental.py", "test_concurrency.py"))),
)


def rounds_of(name: str, slip: Slip) -> tuple[tuple[str, ...], ...]:
    """The tests that matter for a slip, in rounds."""
    if name != "sql_queries.py":
        return TESTS[name]
    return next(rounds for pattern, rounds in SQL_TESTS if re.fullmatch(pattern, slip.where))


def slips_of(name: str) -> list[Slip]:
    source = (ROOT / name).read_text(encoding="utf-8")
    return list(sql_slips(source) if name == "sql_queries.py" else python_slips(source))


class Copy:
    """A copy of the project, in which one slip at a time is made."""

    def __init__(self, folder: Path) -> None:
        ignored = shutil.ignore_patterns(".git", ".venv", ".local_redshift", "__pycache__")
        self.project = Path(shutil.copytree(ROOT, folder / "project", ignore=ignored))
        self._writes = 0
        self._changed = folder / "sql_queries.py"
        model = [sys.executable, str(self.project / "tests" / "slip_model.py")]
        environment = os.environ | {"TMPDIR": str(folder)}
        self._model = subprocess.Popen(model, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def is_noticed(self, name: str, slip: Slip) -> bool:
        """Make the slip, ask the model if it is one of SQL, run the tests until one fails, and take it back."""
        if name == "sql_queries.py" and self._model_notices(slip):
            return True
        path = self.project / name
        before = path.read_text(encoding="utf-8")
        self._write(path, slip.text)
        try:
            return any(tests_fail(self.project, files) for files in rounds_of(name, slip))
        finally:
            self._write(path, before)

    def _write(self, path: Path, text: str) -> None:
        """Write the file, with a modification time it has not had before: Python compiles it anew."""
        path.write_text(text, encoding="utf-8")
        self._writes += 1
        os.utime(path, (self._writes, self._writes))

    def _model_notices(self, slip: Slip) -> bool:
        self._changed.write_text(slip.text, encoding="utf-8")
        assert self._model.stdin and self._model.stdout
        self._model.stdin.write(f"{self._changed}\n")
        self._model.stdin.flush()
        answer = self._model.stdout.readline()
        if answer not in ("noticed\n", "unnoticed\n"):
            raise SystemExit(f"{self._model.args} ended instead of answering")
        return answer == "noticed\n"

    def close(self) -> None:
        """End the model's process."""
        self._model.communicate()


def tests_fail(project: Path, files: tuple[str, ...]) -> bool:
    options = [file for file in files if file.startswith("-k")]
    files = tuple(file for file in files if file not in options)
    missing = [file for file in files if not (project / "tests" / file).exists()]
    if missing:
        raise SystemExit(f"slips.py names tests that are not there: {', '.join(missing)}")
    # what a try leaves behind goes with the next
    left = f"--basetemp={project.parent / 'files'}"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", left]
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(project.parent / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [*command, *options, *(f"tests/{file}" for file in files)],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return True
    if status in (BROKE_DOWN, NO_TESTS):
        raise SystemExit(f"pytest ended with {status} for {files}")
    return status != PASSED


def equivalent() -> list[str]:
    """Patterns of the slips that change nothing that is promised; the reason stands behind each in the file."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return [line.split(" # ", 1)[0].strip() for line in lines if " # " in line and not line.startswith("#")]


def described(name: str, slip: Slip) -> str:
    return f"{name}: {slip.where}: {slip.what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=["sql_queries.py", *TESTS])
    parser.add_argument("--only", default="", help="a regular expression: the statements or functions to slip in")
    parser.add_argument("--sample", type=int, help="at most N slips per file, chosen at random")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="list the slips, run nothing")
    arguments = parser.parse_args()
    rng = random.Random(1)
    todo: list[tuple[str, Slip]] = []
    for name in arguments.files:
        slips = [slip for slip in slips_of(name) if re.search(arguments.only, slip.where)]
        todo += [(name, slip) for slip in (rng.sample(slips, min(arguments.sample or len(slips), len(slips))))]
    names = [described(*one) for one in todo]
    patterns = [pattern for pattern in equivalent() if pattern.split(":")[0] in arguments.files]
    found = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
    if arguments.list:
        print("\n".join(names))
        for pattern in (pattern for pattern in found if not found[pattern] and not arguments.only):
            print(f"{EQUIVALENT.name} has what is no slip any more: {pattern}", file=sys.stderr)
        return 0
    listed = {name for matching in found.values() for name in matching}
    others = [one for one in todo if described(*one) not in listed]
    return report([one for one in todo if described(*one) in listed], try_all(others, arguments.jobs))


def try_all(todo: list[tuple[str, Slip]], jobs: int) -> list[tuple[str, Slip, bool]]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        Path(folder).chmod(0o755)
        made = [Copy(Path(folder) / str(number)) for number in range(jobs)]
        copies: queue.Queue[Copy] = queue.Queue()
        for copy in made:
            copies.put(copy)

        def try_one(one: tuple[str, Slip]) -> tuple[str, Slip, bool]:
            copy = copies.get()
            try:
                noticed = copy.is_noticed(*one)
            finally:
                copies.put(copy)
            print(f"{'noticed  ' if noticed else 'UNNOTICED'} {described(*one)}", flush=True)
            return *one, noticed

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            tried = list(pool.map(try_one, todo))
        for copy in made:
            copy.close()
        return tried


def report(listed: list[tuple[str, Slip]], tried: list[tuple[str, Slip, bool]]) -> int:
    """Print the counts by file; 1 if something stays unnoticed that is not listed as equivalent."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for name, _ in listed:
        counts[name]["equivalent"] += 1
    for name, _, noticed in tried:
        counts[name]["noticed" if noticed else "unnoticed"] += 1
    holes = [described(name, slip) for name, slip, noticed in tried if not noticed]
    for name, by_kind in counts.items():
        total = sum(by_kind.values())
        share = (by_kind["noticed"] + by_kind["equivalent"]) / total
        print(f"{name}: {total} slips, {dict(by_kind)}, {share:.1%} noticed or equivalent")
    print("\n".join(["unnoticed:", *holes]) if holes else "nothing is unnoticed")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
