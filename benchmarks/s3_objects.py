"""Compare COPY's read-ahead of many small S3 objects with reading them one by one.

python benchmarks/s3_objects.py [--objects 15000] [--latency 0 0.02]

The objects are served by moto in a separate process, behind a proxy that delays each answer by --latency seconds. With
latency 0 there is no proxy. Only some of the objects are read one at a time, because that is slow.
"""

import argparse
import http.client
import http.server
import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import boto3

from local_redshift.program import Program
from local_redshift.sources import read_ahead
from local_redshift.sources.s3 import S3Store

REGION = "us-west-2"
ONE_AFTER_ANOTHER = 1000  # number of objects to read one at a time
SONG = b'{"num_songs": 1, "artist_id": "AR", "artist_name": "x", "song_id": "SO", "title": "t", "duration": 1.5}'


def serve_s3(port: "multiprocessing.Value") -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    port.value = server.get_host_and_port()[1]
    time.sleep(1e6)


def serve_slowly(behind: int, latency: float, port: "multiprocessing.Value") -> None:
    """Run a caching proxy that answers after `latency` seconds.

    The proxy fetches each path once, from the server on port `behind`.
    """
    answers: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path not in answers:
                connection = http.client.HTTPConnection("127.0.0.1", behind)
                connection.request("GET", self.path, headers=dict(self.headers))
                answer = connection.getresponse()
                kept = [f"{k}: {v}" for k, v in answer.getheaders() if k.lower() in ("etag", "content-type")]
                body = answer.read()
                head = [f"HTTP/1.1 {answer.status} {answer.reason}", *kept, f"Content-Length: {len(body)}", "", ""]
                answers[self.path] = "\r\n".join(head).encode() + body
            time.sleep(latency)
            self.wfile.write(answers[self.path])

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    port.value = server.server_port
    server.serve_forever()


def started(target: object, *arguments: object) -> tuple[multiprocessing.Process, int]:
    """Start a server process; return it and its port."""
    port = multiprocessing.Value("i", 0)
    process = multiprocessing.Process(target=target, args=(*arguments, port), daemon=True)
    process.start()
    while port.value == 0:
        time.sleep(0.01)
    return process, port.value


def fill(objects: int) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="songs", CreateBucketConfiguration={"LocationConstraint": REGION})
    for number in range(objects):
        s3.put_object(Bucket="songs", Key=f"song-data/{number:06}.json", Body=SONG)


def measure(latency: float) -> None:
    s3, store = boto3.client("s3"), S3Store(Program.this(), REGION, None)
    found = store.find("s3://songs/song-data/")
    if latency:
        sum(1 for _ in read_ahead(store, found))  # fills the proxy's cache
    began = time.perf_counter()
    part = found[:ONE_AFTER_ANOTHER]
    for one in part:
        s3.get_object(Bucket="songs", Key=one.name.removeprefix("s3://songs/"))["Body"].read()
    single = (time.perf_counter() - began) / len(part)
    began = time.perf_counter()
    read = sum(1 for _, data in read_ahead(store, found) if data == SONG)
    ahead = time.perf_counter() - began
    print(
        f"latency {latency * 1000:.0f} ms: {single * 1000:.2f} ms per object read one at a time; "
        f"{ahead / read * 1000:.2f} ms per object read ahead ({read:,} objects in {ahead:.1f} s), "
        f"{single * read / ahead:.1f} times as fast",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=15_000)
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 0.02])
    arguments = parser.parse_args()
    moto, moto_port = started(serve_s3)
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": REGION}
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{moto_port}"
    fill(arguments.objects)
    for latency in arguments.latency:
        front = None
        if latency:
            front, port = started(serve_slowly, moto_port, latency)
            os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        measure(latency)
        if front is not None:
            front.kill()
    moto.kill()


if __name__ == "__main__":
    main()
