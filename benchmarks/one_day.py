"""Time loading one day into a large star schema and into an empty one.

    python benchmarks/one_day.py [--events 1000000] [--songs 15000] [--runs 5] [--data DIR] [--days DIR]

The large star is loaded once, with generated data or the data in --data. Then --runs days are loaded one by one: each
day goes into the large star and into the empty one, then into both again. Without --days, each day has about 500
generated events, dated within the weeks that the large star covers. With --days, each file in DIR/log-data is one day,
and the songs come from DIR/song-data. The script prints the median seconds of the whole process for each star, and the
median ratio of large to empty.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from run import CONFIG, generate, measured

EVENTS_A_DAY = 500


class Star:
    """A warehouse and its config file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self._folder = folder
        self._run("create_tables.py", Path("nothing"), Path("nothing"), "--yes")

    def load(self, data: Path, log_data: Path) -> float:
        """Load `log_data` with the songs of `data`; return the seconds it took."""
        return self._run("etl.py", data, log_data)

    def _run(self, script: str, data: Path, log_data: Path, *options: str) -> float:
        config = self._folder / "dwh.cfg"
        text = CONFIG.format(folder=self._folder, data=data)
        config.write_text(text.replace(f"LOG_DATA = {data}/log-data", f"LOG_DATA = {log_data}"))
        return measured([sys.executable, script, "--config", str(config), *options])["whole"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--songs", type=int, default=15_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--days", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        size = max(1, arguments.events // 40_000)
        much = arguments.data or generate(folder / "much", arguments.events, arguments.songs, size)
        runs = arguments.runs
        days = arguments.days or generate(folder / "days", EVENTS_A_DAY * runs, 60, runs, 2)
        full, empty = Star(folder / "full"), Star(folder / "empty")
        print(f"{arguments.events:,} events into the large star: {full.load(much, much / 'log-data'):.2f} s")
        times: dict[str, list[tuple[float, float]]] = {"a new day": [], "the same day again": []}
        for log in sorted((days / "log-data").rglob("*.json"))[:runs]:
            for pairs in times.values():
                pairs.append((full.load(days, log), empty.load(days, log)))
    for name, pairs in times.items():
        into_full, into_empty = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(
            f"{name}: {into_full:.2f} s into the large star, {into_empty:.2f} s into the empty one: "
            f"{ratio:.2f} times as long"
        )


if __name__ == "__main__":
    main()
