"""Stop loads at random moments, and tell what each said, how it ended, and what the tables held. A developer's tool.

    python tests/stops.py [--times 200] [--events 300000] [--seed 1]

Every load starts from the same warehouse, whose server is not running yet, and is ended by Ctrl-C or SIGTERM at a
moment drawn from the time that a whole load takes. Printed is a table of the step that was under way, the exit status,
what was said, and whether the tables were as before or as after a load; anything else ends this with status 1.
"""

import argparse
import collections
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import ROOT, TABLES, Warehouse, event, song, unstamped

from local_redshift.client import get_server

STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
OUTCOMES = {"nothing was changed": "before", "everything had been committed": "after"}


def make(folder: Path, events: int) -> Warehouse:
    """A warehouse that holds one play, with a large source that it has not loaded yet."""
    warehouse = Warehouse(folder, folder / "data")
    warehouse.create_tables()
    warehouse.write_log([event(ts=946_684_800_001)])
    warehouse.write_songs([song()])
    warehouse.etl()
    generator = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--out", str(folder / "large")]
    subprocess.run([*generator, "--events", str(events), "--songs", "1000", "--days", "10"], check=True)
    warehouse.use("large")
    return warehouse


def state(warehouse: Warehouse) -> dict[str, int]:
    """The rows of each table, with the server stopped again afterwards."""
    counts = warehouse.counts()
    get_server((warehouse.folder / "data").resolve()).release()
    return counts


def begin(warehouse: Warehouse) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "etl.py"), "-v", "--config", str(warehouse.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def step_after(output: str) -> str:
    """What was under way after this output."""
    done = re.findall(r"^(packed \w+|\w+(?=:))", output, re.MULTILINE)
    return f"after {len(done):2} steps ({done[-1]})" if done else "after  0 steps (start, connecting)"


def stop_once(warehouse: Warehouse, number: signal.Signals, after: float) -> tuple[str, int, str]:
    """Start a load and end it; the step, the exit status, and what it wrote to stderr."""
    process = begin(warehouse)
    time.sleep(after)
    process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    output, errors = unstamped(output), unstamped(errors)
    said = errors.strip().removeprefix("waiting for the answer to the commit\n")
    return step_after(output), process.returncode, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        warehouse = make(folder, arguments.events)
        states = {"before": state(warehouse)}
        (folder / "template").mkdir()
        subprocess.run(["cp", "-a", f"{folder}/data/.", f"{folder}/template"], check=True)
        started = time.monotonic()
        process = begin(warehouse)
        process.communicate()
        whole = time.monotonic() - started
        states["after"] = state(warehouse)
        assert set(states["before"]) == set(TABLES) and states["before"] != states["after"]
        print(f"a whole load takes {whole:.1f} s; {arguments.times} are stopped")
        found, wrong = collections.Counter(), 0
        for _ in range(arguments.times):
            shutil.rmtree(folder / "data")
            subprocess.run(["cp", "-a", f"{folder}/template", f"{folder}/data"], check=True)
            number = rng.choice(list(STATUS))
            step, status, said = stop_once(warehouse, number, rng.uniform(0.1, whole))
            now = state(warehouse)
            held = next((name for name, counts in states.items() if counts == now), "BETWEEN")
            code, word = STATUS[number]
            expected = [(code, f"etl.py: {word}; {words}", name) for words, name in OUTCOMES.items()]
            # the last two: nothing was left to stop, and Python itself had not come to our first line
            right = (status, said, held) in [*expected, (0, "", "after"), (-number, "", "before")]
            wrong += not right
            found[step, status, said.removeprefix("etl.py: "), held, "" if right else "WRONG"] += 1
    for row, times in sorted(found.items()):
        print(f"{times:4}  " + "  ".join(str(part) for part in row))
    print(f"{wrong} of {arguments.times} were wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
