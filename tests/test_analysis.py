"""The notebook, and the lines of the documentation for pandas; skipped where these are not installed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, Warehouse

nbformat = pytest.importorskip("nbformat", reason="requirements-analysis.txt is not installed")
nbclient = pytest.importorskip("nbclient", reason="requirements-analysis.txt is not installed")
pytest.importorskip("pandas", reason="requirements-analysis.txt is not installed")

NOTEBOOK = ROOT / "docs" / "analysis.ipynb"


@pytest.fixture
def sample(tables: Warehouse) -> Warehouse:
    tables.use(ROOT / "sample_data")
    tables.load()
    return tables


def test_notebook_runs_and_its_tables_are_those_that_are_stored(sample: Warehouse, tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    stored = texts(notebook)
    cell = next(cell for cell in notebook.cells if cell.source.startswith("CONFIG = "))
    cell.source = f'CONFIG = "{sample.config}"'
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    assert len(stored) >= 5 and texts(notebook) == stored


def texts(notebook: object) -> list[str]:
    """Return the text and tables that the cells show, without the plots, which differ with a machine's fonts."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [one for one in outputs if one.get("name") == "stderr"]
    assert sum("image/png" in one.get("data", {}) for one in outputs) >= 7
    found = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs]
    return [text for text in found if not text.startswith("<Figure")]


def test_lines_for_pandas_work_as_they_stand(sample: Warehouse) -> None:
    page = (ROOT / "docs" / "changing.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"```python\n(import common, pandas.*?)```", page, re.DOTALL)
    program = lines.replace("common.connect()", f"common.connect({str(sample.config)!r})")
    assert program != lines
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert re.search(r"free +894\n1 +paid +641\n", ran.stdout), ran.stderr
