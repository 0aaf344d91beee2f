"""The README is right: its commands, its output, its queries and what it says of the config."""

import re

import pytest
from helpers import ROOT, Warehouse

README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Warehouse:
    """The sample data, loaded."""
    warehouse = Warehouse(tmp_path_factory.mktemp("readme"), data_dir)
    warehouse.use(ROOT / "sample_data")
    warehouse.create_tables()
    warehouse.output = warehouse.etl().stdout
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
    shown = re.search(r"```\n( +[\d,]+ events staged.*?)```", README, re.DOTALL)[1]
    assert sample.output.endswith(shown)


def test_tables_can_be_spread_by_the_moment_as_is_shown(sample: Warehouse) -> None:
    shown = re.findall(r"^  (ALTER TABLE \w+ ALTER .*;)$", README, re.MULTILINE)
    assert len(shown) == 2
    counts = sample.counts()
    for statement in shown:
        sample.query(statement)
    sample.etl()
    assert sample.counts() == counts


def test_every_file_named_is_there() -> None:
    first_table = README.split("| File |")[1].split("More:")[0]
    first_cells = re.findall(r"^\| (`.*?`) \|", first_table, re.MULTILINE)
    names = re.findall(r"`([\w./]+)`", " ".join(first_cells))
    assert len(names) == 7
    for name in names:
        assert (ROOT / name).exists(), name


def test_shipped_config_is_local_and_reads_the_sample() -> None:
    shipped = (ROOT / "dwh.cfg").read_text()
    assert "HOST = local" in shipped and "LOG_DATA = sample_data/log-data" in shipped


def test_config_table_has_every_key_of_the_shipped_config() -> None:
    keys = set(re.findall(r"^(\w+) =", (ROOT / "dwh.cfg").read_text(), re.MULTILINE))
    table = README.split("## Pointing it elsewhere")[1].split("##")[0]
    assert {key for key in keys if not re.search(rf"\b{key}\b", table)} == set()
