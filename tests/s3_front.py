"""A server in front of moto's S3 that can hold an object back, break it off, or answer with an error for a while."""

import contextlib
import http.client
import http.server
import threading
from urllib.parse import urlsplit

NOT_PASSED_ON = {"connection", "content-length", "date", "server", "transfer-encoding"}
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Replies in one call, and keeps no log on the screen."""

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of clients that are gone before they have their answer."""

    def handle_error(self, *arguments: object) -> None:
        pass


class S3Front:
    """What is asked of `address` is answered by the server at `behind`."""

    def __init__(self, behind: str) -> None:
        self.busy_for = 0  # how many more requests are answered with `error`
        self.error = (503, BUSY)
        self.fails_at = 0  # which request from now on is answered with `error`, 1 being the next; 0 for none
        self.requests: list[str] = []  # the method and the path of each
        self.held = ""  # an object whose name ends like this is not answered until `let_go`
        self.page = 0  # how many names a page of a listing has at most, if not as many as S3 gives
        self.endless = ""  # an object whose name ends like this has its body again and again, until `let_go` ...
        self.breaks_off_at = 0  # ... or until it breaks off after so many bytes ...
        self.then = (0, b"")  # ... with this once, after so many bytes
        self.cut_off = ""  # of an object whose name ends like this only half arrives
        self.let_go = threading.Event()
        self.asked = threading.Event()  # whether it was asked for
        self._behind = urlsplit(behind).netloc
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], bytes]:
        if method == "GET" and self.held and urlsplit(path).path.endswith(self.held):
            self.asked.set()
            self.let_go.wait(120)
        if self.page and "list-type=2" in path:
            path += f"&max-keys={self.page}"
        with self._lock:
            self.requests.append(f"{method} {path}")
            self.fails_at -= 1
            if self.fails_at == 0:
                return self.error[0], {}, self.error[1]
            if self.busy_for:
                self.busy_for -= 1
                return self.error[0], {}, self.error[1]
        connection = http.client.HTTPConnection(self._behind)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in NOT_PASSED_ON}, read

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        front = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                length = self.headers.get("Content-Length")
                sent = self.rfile.read(int(length)) if length else None
                status, headers, body = front.answer(self.command, self.path, dict(self.headers), sent)
                if self.command == "GET" and front.endless and urlsplit(self.path).path.endswith(front.endless):
                    self.reply_endlessly(body, headers)
                elif self.command == "GET" and front.cut_off and urlsplit(self.path).path.endswith(front.cut_off):
                    self.close_connection = True
                    self.reply(status, body[: len(body) // 2], headers, length=len(body))
                else:
                    self.reply(status, body, headers)

            def reply_endlessly(self, body: bytes, headers: dict[str, str]) -> None:
                self.close_connection = True
                at, once = front.then
                sent = 0
                with contextlib.suppress(OSError):  # the stand-in reads the beginning, and later all of it
                    self.reply(200, b"", headers, length=1 << 40)
                    while not front.let_go.is_set() and not 0 < front.breaks_off_at < sent:
                        data = once if once and sent > at else body
                        once = b"" if data is once else once
                        self.wfile.write(data)
                        sent += len(data)

            do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        return Handler
