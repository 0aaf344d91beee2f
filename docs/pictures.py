"""Make the README's pictures and the notebook's output by loading the sample data.

    pip install -r requirements-analysis.txt && python docs/pictures.py

The script writes docs/pictures/ and docs/analysis.ipynb, and does not touch the warehouse configured in dwh.cfg.
"""

import base64
import os
import pty
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

import nbclient
import nbformat
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "analysis.ipynb"
PICTURES = ROOT / "docs" / "pictures"
BLACK, RED, GREEN, BROWN = (36, 41, 47), (207, 34, 46), (17, 99, 41), (77, 45, 0)
THEMES = {
    "light": TerminalTheme((255, 255, 255), BLACK, [BLACK, RED, GREEN, BROWN, BLACK, BLACK, BLACK, BLACK]),
    "dark": SVG_EXPORT_THEME,
}
CONFIG_CELL = "CONFIG = "


def at_terminal(command: list[str]) -> str:
    """Run a command in a pseudo-terminal; return its output."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment)
    os.close(theirs)
    output = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # the process has closed the terminal
            break
        if not data:
            break
        output += data
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{command} failed:\n{output.decode()}")
    return output.decode().replace("\r\n", "\n")


def draw_run(config: Path) -> None:
    """Run create_tables.py and etl.py, and draw their output."""
    printed = ""
    for script, *options in (("create_tables.py", "--yes"), ("etl.py",)):
        output = at_terminal([sys.executable, script, "--config", str(config), *options])
        printed += f"$ python {script}\n{output}"
    for folder in (f" ({config.parent}/.local_redshift)", f"{ROOT}/"):
        printed = printed.replace(folder, "")
    for theme, colours in THEMES.items():
        shown = Console(record=True, file=StringIO(), width=80, force_terminal=True)
        shown.print(Text.from_ansi(printed))
        picture = shown.export_svg(title="Sparkify's Redshift ETL", theme=colours)
        (PICTURES / f"run-{theme}.svg").write_text(picture, encoding="utf-8")


def execute(config: Path, style: str = "default") -> nbformat.NotebookNode:
    """Return the notebook, executed with a config file and a matplotlib style."""
    notebook = nbformat.read(NOTEBOOK, 4)
    cell = next(cell for cell in notebook.cells if cell.source.startswith(CONFIG_CELL))
    source, cell.source = cell.source, f'{CONFIG_CELL}"{config}"\nplt.style.use("{style}")'
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    cell.source = source
    for executed in notebook.cells:
        executed.metadata.pop("execution", None)  # timestamps, which differ from run to run
    return notebook


def first_plot(notebook: nbformat.NotebookNode) -> bytes:
    """Return the first plot of an executed notebook, as a PNG."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return base64.b64decode(next(one.data["image/png"] for one in outputs if "image/png" in one.get("data", {})))


def main() -> None:
    """Load the sample into a temporary warehouse, and draw the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "dwh.cfg"
        text = (ROOT / "dwh.cfg").read_text(encoding="utf-8").replace("sample_data/", f"{ROOT}/sample_data/")
        config.write_text(text, encoding="utf-8")
        draw_run(config)
        nbformat.write(execute(config), NOTEBOOK)
        for theme, style in (("light", "default"), ("dark", "dark_background")):
            (PICTURES / f"plays-{theme}.png").write_bytes(first_plot(execute(config, style)))


if __name__ == "__main__":
    main()
