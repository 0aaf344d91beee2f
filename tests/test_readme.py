"""The README and docs/ are right: commands, outputs, queries, recipes, links, and what they say of the config."""

import ast
import fcntl
import gzip
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, Warehouse, at_terminal, event, song

from pipeline.config_file import KNOWN_KEYS

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
CHANGING = DOCS["changing.md"]
QUESTIONS = DOCS["star-schema.md"].split("## Five questions")[1]
QUERIES = re.findall(r"```sql\n(.*?)```\n\n```text\n(.*?)```", QUESTIONS, re.DOTALL)
PAGES = {"README.md": README, **{f"docs/{name}": text for name, text in DOCS.items()}}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Warehouse:
    """The sample data, loaded."""
    warehouse = Warehouse(tmp_path_factory.mktemp("readme"), data_dir)
    warehouse.use(ROOT / "sample_data")
    warehouse.create_tables()
    code, warehouse.screen = at_terminal(warehouse, "", script="etl.py")
    assert code == 0
    return warehouse


def shown_rows(table: str) -> tuple[list[tuple[str, ...]], int]:
    """The rows of a table as psql prints it, maybe cut short with "...", and how many it says there are."""
    lines = table.splitlines()
    rows = [tuple(cell.strip() for cell in line.split("|")) for line in lines[2:] if line[0] not in ".("]
    return rows, int(re.search(r"\((\d+) rows?\)", table)[1])


def test_there_are_five_questions() -> None:
    assert len(QUERIES) == 5


@pytest.mark.parametrize(("query", "answer"), QUERIES)
def test_query_gives_the_answer_shown(sample: Warehouse, query: str, answer: str) -> None:
    rows = [tuple(str(value) for value in row) for row in sample.query(query)]
    shown, count = shown_rows(answer)
    assert len(rows) == count
    assert shown and set(shown) <= set(rows)
    # rows with equal counts come in any order
    assert [row[-1] for row in shown] == [row[-1] for row in rows[: len(shown)]]


def test_load_prints_what_is_shown(sample: Warehouse) -> None:
    shown = re.search(r"```\n(staged in .*?)```", README, re.DOTALL)[1]
    screen = re.sub("\x1b\\[\\d+m", "", sample.screen).replace("\r\n", "\n")
    screen = screen.replace(sample.values["CLUSTER", "DB_NAME"], "dwh")
    assert without_times(screen).endswith(without_times(shown))


def test_load_error_is_told_as_is_shown(sample: Warehouse, tmp_path: Path) -> None:
    shown = re.search(r"```\n(etl\.py: s3.*?)```", README, re.DOTALL)[1].splitlines()
    warehouse = Warehouse(tmp_path, Path(sample.values["CLUSTER", "DATA_DIR"]))
    warehouse.configure({("CLUSTER", "DB_NAME"): sample.values["CLUSTER", "DB_NAME"]})
    warehouse.configure({("S3", "LOG_DATA"): str(ROOT / "sample_data" / "log-data")})
    warehouse.write_songs([song(artist_location="x" * 1025)])
    told = warehouse.etl(code=1).stderr.splitlines()
    assert [without_names(line) for line in told] == [without_names(line) for line in shown]


def without_times(text: str) -> str:
    return re.sub(r" +\d+\.\d+ s\b", " # s", text)


def without_names(line: str) -> str:
    """A line of a message without what another load has otherwise: names of files, numbers."""
    return (
        re.sub(r" --config \S+|\S*/\S+|\d+", "#", line)
        .replace("etl.py --check#", "etl.py --check")
        .replace("errors;", "error;")
        .replace("the latest ", "")
    )


def test_tables_can_be_spread_by_the_moment_as_is_shown(sample: Warehouse) -> None:
    shown = re.findall(r"^  (ALTER TABLE \w+ ALTER .*;)$", DOCS["star-schema.md"], re.MULTILINE)
    assert len(shown) == 2
    counts = sample.counts()
    for statement in shown:
        sample.query(statement)
    sample.etl()
    assert sample.counts() == counts


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 250


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", PAGES[page]):
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_every_file_named_is_there() -> None:
    first_table = README.split("| File |")[1].split("\n\n")[0]
    names = re.findall(r"^\| `([\w./]+)` \|", first_table, re.MULTILINE)
    assert len(names) == 7
    for name in names:
        assert (ROOT / name).exists(), name


def test_every_module_named_on_the_map_is_there() -> None:
    table = DOCS["developing.md"].split("```")[1]
    section = ""
    for line in table.strip().splitlines():
        section = line.split()[0] if not line.startswith(" ") else section
        for name in re.findall(r"[\w/]+\.py|\w+/(?= )", line.split("   ")[0] if line.startswith(" ") else ""):
            assert (ROOT / section / name).exists(), line


def test_options_of_the_scripts_are_listed() -> None:
    for script in ("etl.py", "create_tables.py"):
        command = [sys.executable, str(ROOT / script), "--help"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for option in set(re.findall(r"--[a-z]+", said)) - {"--help", "--verbose"}:
            assert option in DOCS["runs.md"], option


def test_shipped_config_is_local_and_reads_the_sample() -> None:
    shipped = (ROOT / "dwh.cfg").read_text()
    assert "HOST = local" in shipped and "LOG_DATA = sample_data/log-data" in shipped


def test_config_table_has_the_keys_that_are_taken() -> None:
    table = DOCS["config.md"].split("| Section, key |")[1].split("##")[0]
    listed = {
        (section, key)
        for section, keys in re.findall(r"^\| `\[(\w+)\] (.*?) \|", table, re.MULTILINE)
        for key in re.findall(r"[A-Z_]+", keys)
    }
    taken = {(section, key) for section, keys in KNOWN_KEYS.items() for key in keys}
    assert listed == taken - {("TEST", "PREFIX")}  # which is for tests on a cluster


class Project:
    """A copy of the project with a warehouse of its own, on which recipes are tried as processes."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.warehouse = Warehouse(folder, data_dir)
        self.root = folder / "project"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("pipeline", "local_redshift", "storage", "sample_data"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        for name in ("create_tables.py", "etl.py", "sql_queries.py", "common.py"):
            shutil.copy(ROOT / name, self.root)
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        self.warehouse.use(self.root / "sample_data")
        self.warehouse.configure({("S3", "LOG_JSONPATH"): str(self.root / "sample_data" / "log_json_path.json")})

    def run(self, script: str, *options: str) -> str:
        command = [sys.executable, str(self.root / script), "--config", str(self.warehouse.config), *options]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=self.root)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def refusal(self) -> str:
        """The message of a load that fails."""
        command = [sys.executable, str(self.root / "etl.py"), "--config", str(self.warehouse.config)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=self.root)
        assert ran.returncode == 1, ran.stdout
        return ran.stderr

    def apply(self, patch: str) -> None:
        subprocess.run(["git", "apply", "-"], input=patch, text=True, check=True, cwd=self.root)

    def psql(self, statements: str) -> str:
        """Run statements as the recipes say: in psql on the local warehouse."""
        command = [
            sys.executable,
            "-m",
            "local_redshift",
            "--config",
            str(self.warehouse.config),
            "-At",
            "-c",
            statements,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=self.root).stdout


@pytest.fixture
def project(tmp_path: Path, data_dir: Path) -> Project:
    return Project(tmp_path, data_dir)


def recipe(heading: str) -> tuple[str, list[str]]:
    """The patch of a recipe, and its statements."""
    text = CHANGING.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(r"```diff\n(.*?)```", text, re.DOTALL)[1], re.findall(r"```sql\n(.*?)```", text, re.DOTALL)


def test_config_beside_the_scripts_is_read_from_wherever_they_are_started(project: Project, tmp_path: Path) -> None:
    shipped = (ROOT / "dwh.cfg").read_text()
    data_dir, name = project.warehouse.data_dir, project.warehouse.values["CLUSTER", "DB_NAME"]
    ours = shipped.replace("DATA_DIR = .local_redshift", f"DATA_DIR = {data_dir}")
    ours = ours.replace("DB_NAME = dwh", f"DB_NAME = {name}")
    assert str(data_dir) in ours and name in ours
    (project.root / "dwh.cfg").write_text(ours)
    for script in ("create_tables.py", "etl.py"):
        command = [sys.executable, str(project.root / script)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    assert f"{project.root}/sample_data/log-data" in ran.stdout and "1,535 plays loaded into" in ran.stdout


def test_column_is_added_to_songplays_and_rows_are_kept(project: Project) -> None:
    patch, [statements] = recipe("Add a column to songplays")
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    kept = project.psql("SELECT COUNT(*), MIN(songplay_id), MAX(songplay_id) FROM songplays")
    project.psql(statements)
    project.apply(patch)
    assert "  0 plays loaded into" in project.run("etl.py")
    assert project.psql("SELECT COUNT(*), MIN(songplay_id), MAX(songplay_id) FROM songplays") == kept
    assert project.psql("SELECT DISTINCT status FROM songplays") == "200\n"
    project.run("create_tables.py", "--yes")  # the other way ends in the same
    project.run("etl.py")
    assert project.psql("SELECT DISTINCT status FROM songplays") == "200\n"
    project.run("etl.py", "--verify")


def test_column_that_is_added_to_play_columns_is_compared_and_replaced(project: Project) -> None:
    patch, _ = recipe("Add a column to songplays")
    project.apply(patch)
    path = project.root / "sql_queries.py"
    path.write_text(path.read_text().replace("PLAY_COLUMNS = {\n", 'PLAY_COLUMNS = {\n    "status": "status",\n', 1))
    project.warehouse.use(project.warehouse.folder)
    project.warehouse.write_songs([song()])
    project.warehouse.write_log([event(status=200)])
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    project.warehouse.write_log([event(status=404)])
    assert "differ from the play of the same key in status: 1," in project.refusal()
    assert re.search(r"  0 plays loaded into \S+ on local, 1 replaced in ", project.run("etl.py", "--replace"))
    assert project.psql("SELECT status FROM songplays") == "404\n"


def test_compressed_logs_load_with_gzip_in_their_copy(project: Project) -> None:
    for path in (project.root / "sample_data" / "log-data").rglob("*.json"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    path = project.root / "sql_queries.py"
    text = path.read_text()
    path.write_text(text.replace("TIMEFORMAT AS 'epochmillisecs'\n", "TIMEFORMAT AS 'epochmillisecs'\nGZIP\n", 1))
    project.run("create_tables.py", "--yes")
    assert "  1,535 plays loaded into " in project.run("etl.py")


def test_constants_of_plain_text_are_counted_like_statements(project: Project) -> None:
    path = project.root / "sql_queries.py"
    text = path.read_text()
    for name in ("songplays_table_insert", "users_table_delete", "users_table_insert", "songs_table_insert"):
        assert f"\n{name} = Statement(" in text
        text = text.replace(f"\n{name} = Statement(", f"\n{name} = str(")
    path.write_text(text)
    project.run("create_tables.py", "--yes")
    said = project.run("etl.py")
    assert "  loaded in " in said and "songplays 1,535 new, " in said and "users 50 new, 0 changed" in said
    assert "; songs 335 new, " in said and "  1,535 plays loaded into " in said
    project.warehouse.use(project.warehouse.folder)
    project.warehouse.write_songs([song()])
    project.warehouse.write_log([event(userId="9999", level="free")])
    assert "users 1 new, 0 changed" in project.run("etl.py")
    project.warehouse.write_log([event(userId="9999", level="paid", itemInSession=1)])
    assert "users 0 new, 1 changed" in project.run("etl.py")


def statements_of(title: str) -> str:
    return re.search(rf"## {title}\n.*?```sql\n(.*?)```", CHANGING, re.DOTALL)[1]


def test_day_is_corrected_by_replace(project: Project) -> None:
    project.warehouse.use(project.warehouse.folder)
    project.warehouse.write_songs([song()])
    project.warehouse.write_log([event(), event(itemInSession=1)])
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    project.warehouse.write_log([event(song="Corrected"), event(itemInSession=1)])
    assert re.search(r"  0 plays loaded into \S+ on local, 1 replaced in ", project.run("etl.py", "--replace"))
    assert project.psql("SELECT song_title FROM songplays ORDER BY 1") == "Corrected\nSong\n"
    project.run("etl.py", "--verify")


def test_day_is_taken_back_and_loaded_anew(project: Project) -> None:
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    before = project.psql("SELECT COUNT(*), COUNT(DISTINCT song_id) FROM songplays")
    project.psql(statements_of("Take a day back"))
    taken = project.psql("SELECT COUNT(*) FROM songplays WHERE CAST(start_time AS DATE) = '2018-11-15'")
    assert taken == "0\n" and project.psql("SELECT COUNT(*), COUNT(DISTINCT song_id) FROM songplays") != before
    project.run("etl.py", "--verify")
    project.run("etl.py", "--all")
    assert project.psql("SELECT COUNT(*), COUNT(DISTINCT song_id) FROM songplays") == before
    project.run("etl.py", "--verify")


def test_user_is_forgotten_until_a_log_brings_them_back(project: Project) -> None:
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    [user] = project.psql("SELECT TOP 1 user_id FROM songplays GROUP BY user_id ORDER BY COUNT(*) DESC").split()
    project.psql(statements_of("Forget a user").replace("15", user))
    for table in ("staging_events", "songplays", "users"):
        assert project.psql(f"SELECT COUNT(*) FROM {table} WHERE user_id = {user}") == "0\n"
    project.run("etl.py", "--verify")
    project.run("etl.py")
    assert project.psql(f"SELECT COUNT(*) FROM users WHERE user_id = {user}") == "1\n"


def test_renamed_field_fails_as_is_shown_until_the_paths_have_it(project: Project) -> None:
    text = CHANGING.split("## A renamed or new field")[1].split("## Run one test")[0]
    shown = re.search(r"```text\netl.py: (.*?)\n```", text)[1]
    events = [
        {"user_id" if key == "userId" else key: value for key, value in event(itemInSession=n).items()}
        for n in range(77)
    ]
    project.warehouse.use(project.warehouse.folder)
    project.warehouse.configure({("S3", "LOG_JSONPATH"): str(project.root / "sample_data/log_json_path.json")})
    project.warehouse.write_songs([song()])
    project.warehouse.write_log(events)
    project.run("create_tables.py", "--yes")
    command = [sys.executable, str(project.root / "etl.py"), "--config", str(project.warehouse.config)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and shown in failed.stderr
    assert "no column is loaded from the field user_id" in project.run("etl.py", "--check")
    project.apply(re.search(r"```diff\n(.*?)```", text, re.DOTALL)[1])
    assert "77 plays loaded into" in project.run("etl.py")
    assert project.psql("SELECT DISTINCT user_id FROM songplays") == "7\n"


def test_field_of_the_logs_is_added_and_rows_are_kept(project: Project) -> None:
    patch, [statement] = recipe("Add a field of the logs")
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    project.psql(statement)
    project.apply(patch)
    project.warehouse.use(project.warehouse.folder)
    project.warehouse.write_log([event(device="phone"), event(itemInSession=1)])
    project.warehouse.write_songs([])
    project.warehouse.configure({("S3", "SONG_DATA"): str(project.root / "sample_data" / "song-data")})
    assert "  2 plays loaded into" in project.run("etl.py")
    assert project.psql("SELECT device FROM staging_events ORDER BY item_in_session") == "phone\n\n"
    assert project.psql("SELECT COUNT(*) FROM songplays") == "1537\n"


def test_dimension_is_added_with_its_check_and_rows_are_kept(project: Project) -> None:
    patch, [statement] = recipe("Add a dimension")
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    project.apply(patch)
    table = re.search(r"\+(CREATE TABLE locations.*?)\"\"\"", patch, re.DOTALL)[1].replace("\n+", "\n")
    project.psql(table)
    project.psql(statement)
    assert ": 28 checks passed\n" in project.run("etl.py")
    project.run("etl.py", "--verify")
    project.psql("DELETE FROM locations WHERE city = (SELECT MIN(city) FROM locations)")
    command = [sys.executable, str(project.root / "etl.py"), "--config", str(project.warehouse.config), "--verify"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and "plays have a location that is not in locations" in failed.stderr
    project.run("create_tables.py", "--yes")
    project.run("etl.py")
    assert project.psql("SELECT COUNT(*) > 5 FROM locations") == "t\n"


@pytest.mark.skipif(shutil.which("flock") is None, reason="no flock here")
@pytest.mark.parametrize("status", [0, 1])
def test_hourly_script_prints_what_is_to_be_mailed(tmp_path: Path, status: int) -> None:
    script = DOCS["changing.md"].split("## Schedule it")[1].split("```sh\n")[1].split("```")[0]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\necho this run\nexit {status}\n")
    python.chmod(0o755)
    (tmp_path / "etl.log").write_text("an older run\n")
    run = ["sh", "-c", script.replace("/home/me/etl", str(tmp_path))]
    assert subprocess.run(run, capture_output=True, text=True).stdout == "this run\n" * (status != 0)
    assert (tmp_path / "etl.log").read_text() == "an older run\nthis run\n"
    with open(tmp_path / "etl.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        skipped = subprocess.run(run, capture_output=True, text=True).stdout
    assert "skipped" in skipped and (tmp_path / "last.log").read_text() == "this run\n"


# what requirements-analysis.txt and requirements-clients.txt add, which need not be installed
NOT_NEEDED = ("jupyterlab", "nbclient", "pandas", "matplotlib", "psycopg", "redshift_connector")


def test_every_package_that_is_imported_is_required() -> None:
    lines = [line for name in ROOT.glob("requirements*.txt") for line in name.read_text().splitlines()]
    required = {name[0].lower() for line in lines if (name := re.match(r"[\w-]+(?=(?:\[\w+\])?>=)", line))}
    for name in list(required):
        try:
            needed = [line for line in importlib.metadata.requires(name) or [] if "extra ==" not in line]
        except importlib.metadata.PackageNotFoundError:
            assert name in NOT_NEEDED
            continue
        required |= {re.match(r"[\w.-]+", line)[0].lower() for line in needed}
    packages = importlib.metadata.packages_distributions()
    ours = {path.stem for folder in (ROOT, ROOT / "tests", ROOT / "benchmarks") for path in folder.glob("*.py")}
    ours |= {"pipeline", "storage", "local_redshift", "duckdb"}  # benchmarks/README.md says that it takes duckdb
    for path in (path for path in ROOT.rglob("*.py") if ".venv" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.split(".")[0] for name in names} - ours - sys.stdlib_module_names:
                if path.name in ("pictures.py", "test_analysis.py", "test_clients.py") and name not in packages:
                    continue
                assert required & {dist.lower() for dist in packages[name]}, f"{name}, imported by {path}"


def test_tests_that_are_named_as_holding_a_promise_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "tests" / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 200
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert missing == []
