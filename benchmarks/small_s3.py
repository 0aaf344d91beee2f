"""A small S3 server for benchmarks, with objects in memory and simulated latency.

    python benchmarks/small_s3.py [--delay 0.025]

It supports list, get, put, multipart upload and delete, but does not check signatures. It prints its address when
ready.
"""

import argparse
import asyncio
import bisect
import hashlib
import re
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

PAGE = 1000
XML = {"Content-Type": "application/xml"}
HEAD = re.compile(rb"(\w+) (\S+) HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class SmallS3:
    """The objects of all buckets, by bucket/key, and the number of reads."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._objects: dict[str, bytes] = {}
        self._names: list[str] = []
        self._parts: dict[str, dict[int, bytes]] = {}  # parts of unfinished multipart uploads, by object
        self.reads = 0

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        path = urlsplit(target)
        name = unquote(path.path).strip("/")
        query = {key: values[0] for key, values in parse_qs(path.query, keep_blank_values=True).items()}
        if method == "GET" and "list-type" in query:
            return 200, self._page(name, query), XML
        if method in ("PUT", "POST"):
            return self._take(name, query, body)
        if method == "DELETE":
            self._delete(name)
            return 204, b"", {}
        if name == "reads":
            return 200, str(self.reads).encode(), {}
        found = self._objects.get(name)
        if found is None:
            return 404, b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>", {}
        self.reads += method == "GET"
        headers = {"ETag": self._etag(name), "Last-Modified": "Thu, 01 Nov 2018 00:00:00 GMT"}
        return 200, found, headers

    def _take(self, name: str, query: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Handle PUT and POST: store an object or a part, or delete several objects."""
        if "delete" in query:
            keys = re.findall(r"<Key>.*?</Key>", body.decode())
            for key in keys:
                self._delete(f"{name}/{unescape(key[len('<Key>') : -len('</Key>')])}")
            deleted = "".join(f"<Deleted>{key}</Deleted>" for key in keys)
            return 200, f"<DeleteResult>{deleted}</DeleteResult>".encode(), XML
        if "uploads" in query:
            self._parts[name] = {}
            return 200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>", XML
        if "partNumber" in query:
            self._parts[name][int(query["partNumber"])] = body
            return 200, b"", {"ETag": '"part"'}
        if "uploadId" in query:
            self._put(name, b"".join(part for _, part in sorted(self._parts.pop(name).items())))
            result = "CompleteMultipartUploadResult"
            return 200, f"<{result}><ETag>{escape(self._etag(name))}</ETag></{result}>".encode(), XML
        self._put(name, body)
        return 200, b"", {"ETag": self._etag(name)}

    def _etag(self, name: str) -> str:
        return f'"{hashlib.md5(self._objects[name]).hexdigest()}"'

    def _put(self, name: str, data: bytes) -> None:
        if name not in self._objects:
            bisect.insort(self._names, name)
        self._objects[name] = data

    def _delete(self, name: str) -> None:
        if self._objects.pop(name, None) is not None:
            self._names.pop(bisect.bisect_left(self._names, name))

    def _page(self, bucket: str, query: dict[str, str]) -> bytes:
        prefix = f"{bucket}/{query.get('prefix', '')}"
        after = query.get("continuation-token") or f"{bucket}/{query.get('start-after', '')}"
        start = max(bisect.bisect_left(self._names, prefix), bisect.bisect_right(self._names, after))
        names = [name for name in self._names[start : start + PAGE] if name.startswith(prefix)]
        is_more = len(names) == PAGE and len(self._names) > start + PAGE
        token = f"<NextContinuationToken>{escape(names[-1])}</NextContinuationToken>" if is_more else ""
        listed = "".join(
            f"<Contents><Key>{escape(name[len(bucket) + 1 :])}</Key>"
            f"<LastModified>2018-11-01T00:00:00.000Z</LastModified><ETag>{escape(self._etag(name))}</ETag><Size>{len(self._objects[name])}</Size></Contents>"
            for name in names
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><KeyCount>{len(names)}</KeyCount><IsTruncated>{str(is_more).lower()}</IsTruncated>"
            f"{token}{listed}</ListBucketResult>"
        ).encode()


class Connection(asyncio.Protocol):
    """A client connection, without request pipelining."""

    def __init__(self, s3: SmallS3) -> None:
        self._s3 = s3
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        length = LENGTH.search(self._received[:end])
        size = end + (int(length[1]) if length else 0)
        if len(self._received) < size:
            return
        request, self._received = self._received[:size], self._received[size:]
        asyncio.get_running_loop().call_later(self._s3.delay, self._reply, request, end)

    def _reply(self, request: bytes, end: int) -> None:
        head = HEAD.match(request)
        status, body, headers = self._s3.answer(head[1].decode(), head[2].decode(), request[end:])
        lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
        self._transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head[1] == b"HEAD" else body))


async def serve(delay: float) -> None:
    s3 = SmallS3(delay)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(s3), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.025)
    asyncio.run(serve(parser.parse_args().delay))
