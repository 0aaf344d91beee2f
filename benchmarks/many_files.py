"""Time loads from an S3 server with 25 ms latency, with [S3] TEMP_DIR set.

    python benchmarks/many_files.py [--songs 15000] [--runs 5] [--listed 400000]

Each of the --runs rounds makes three loads: many song files (--songs), then nothing new, then one new song and one new
log. The third load reads only the two new files and what the run itself wrote for COPY (the manifests and the list of
new files). After the rounds, the script loads many more files (--listed), then repeats that load with nothing new. For
each kind of load, it prints medians: total seconds, seconds spent on packing and COPY, number of objects read, and peak
memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import S3Store
from run import CONFIG, ROOT, measured

SERVER = str(ROOT / "benchmarks" / "small_s3.py")
SONG = {
    "num_songs": 1,
    "artist_latitude": None,
    "artist_longitude": None,
    "artist_location": "Lansing, MI",
    "duration": 200.5,
    "year": 1999,
}
EVENT = {
    "artist": "Band 1",
    "auth": "Logged In",
    "firstName": "Ada",
    "gender": "F",
    "lastName": "Berg",
    "length": 200.5,
    "level": "free",
    "location": "Lansing, MI",
    "method": "PUT",
    "page": "NextSong",
    "registration": 1540000000000.0,
    "sessionId": 1,
    "song": "Song 1",
    "status": 200,
    "ts": 1541105830796,
    "userAgent": "Mozilla",
    "userId": "7",
}


def song(n: object) -> str:
    return json.dumps(
        SONG | {"artist_id": f"AR{n}", "artist_name": f"Band {n}", "song_id": f"SO{n}", "title": f"Song {n}"}
    )


def log(n: int) -> str:
    return json.dumps(EVENT | {"itemInSession": n}) + "\n"


class Bench:
    """A small S3 server with one bucket, and a warehouse that loads from it."""

    def __init__(self, folder: Path) -> None:
        self._server = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
        self.address = self._server.stdout.readline().strip()
        keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-west-2"}
        self._store = S3Store("b", endpoint=self.address, client_options={"allow_http": True}, **keys)
        self._config = folder / "dwh.cfg"
        text = CONFIG.format(folder=folder, data="s3://b")
        self._config.write_text(
            f"{text}TEMP_DIR = s3://b/temp\n".replace("s3://b/log_json", f"{ROOT}/sample_data/log_json")
        )
        names = {"AWS_ENDPOINT_URL": self.address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        self._environment = os.environ | names | {"AWS_EC2_METADATA_DISABLED": "true"}

    def put(self, objects: dict[str, str]) -> None:
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda one: obstore.put(self._store, one[0], one[1].encode()), objects.items()))

    def create_tables(self) -> None:
        command = self._command("create_tables.py", "--yes")
        subprocess.run(command, env=self._environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

    def load(self) -> tuple[float, float, float, float]:
        """Run a load.

        Return its total seconds, the seconds spent on packing and COPY, the number of objects read, and the peak memory
        in MB.
        """
        before = self._reads()
        found = measured(self._command("etl.py", "-v"), self._environment)
        copied = sum(seconds for step, seconds in found.items() if step == "packed" or step.endswith("_copy"))
        return found["whole"], copied, self._reads() - before, found["python MB"]

    def _reads(self) -> int:
        return int(urllib.request.urlopen(f"{self.address}/reads").read())

    def _command(self, script: str, *options: str) -> list[str]:
        return [sys.executable, script, "--config", str(self._config), *options]

    def close(self) -> None:
        self._server.kill()
        self._server.wait()


def song_files(count: int) -> dict[str, str]:
    return {f"song-data/A/{n % 26}/TR{n:07}.json": song(n) for n in range(count)}


def report(name: str, rounds: list[tuple[float, float, float, float]]) -> None:
    seconds, copied, reads, peak = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(
        f"{name}: {seconds:.2f} s, packing and COPY {copied:.2f} s, {reads:,.0f} objects read, "
        f"peak memory {peak:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=15_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--listed", type=int, default=400_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        bench = Bench(Path(made))
        try:
            bench.put(song_files(arguments.songs) | {"log-data/1.json": log(0)})
            first, second, one_more = [], [], []
            for n in range(arguments.runs):
                bench.create_tables()
                first.append(bench.load())
                second.append(bench.load())
                bench.put({f"song-data/Z/{n}.json": song(f"Z{n}"), f"log-data/{n + 2}.json": log(n + 1)})
                one_more.append(bench.load())
            report("first load", first)
            report("nothing new", second)
            report("one new song and one new log", one_more)
            if arguments.listed:
                bench.create_tables()
                bench.put(song_files(arguments.listed))
                report(f"{arguments.listed:,} files for the first time", [bench.load()])
                report(f"{arguments.listed:,} files, nothing new", [bench.load() for _ in range(3)])
        finally:
            bench.close()


if __name__ == "__main__":
    main()
