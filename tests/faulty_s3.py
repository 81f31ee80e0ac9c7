"""An S3 endpoint that behaves as S3 does on a bad day: a proxy that fails or delays a share of the requests."""

import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("internal error", "slow down", "reset", "answer lost", "late", "cut short")
"""500; 503; the connection closed before the request is done; closed after it is done; answered after a while; half
the answer."""
LATE_SECONDS = 1.0
HOPS = ("connection", "expect", "transfer-encoding", "content-length")
_ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>not now</Message></Error>"


@dataclass
class Faults:
    """How often a request meets a fault, and how often which did."""

    share: float
    seed: int = 0
    requests: int = 0
    met: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.seed), threading.Lock()

    def next(self) -> str | None:
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.share:
                return None
            fault = self._random.choice(FAULTS)
            self.met[fault] += 1
            return fault


@contextmanager
def faulty(endpoint: str, faults: Faults) -> Iterator[str]:
    """The URL of a proxy to ``endpoint``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self._body()
            fault = faults.next()
            if fault == "internal error":
                self._refuse(500, "InternalError")
            elif fault == "slow down":
                self._refuse(503, "SlowDown")
            elif fault == "reset":
                self._drop()
            else:
                if fault == "late":
                    time.sleep(LATE_SECONDS)
                status, headers, answer = self._forward(body)
                if fault == "answer lost":
                    self._drop()
                else:
                    self._answer(status, headers, answer, cut=fault == "cut short")

        def _answer(self, status: int, headers: list[tuple[str, str]], answer: bytes, cut: bool) -> None:
            told = {name.lower(): value for name, value in headers}
            self.send_response(status)
            for name, value in told.items():
                if name not in (*HOPS, "server", "date"):
                    self.send_header(name, value)
            # HEAD tells the length of what GET would answer.
            self.send_header("Content-Length", told.get("content-length", "0") if self._is_head else str(len(answer)))
            self.end_headers()
            if not self._is_head:
                self.wfile.write(answer[: len(answer) // 2] if cut else answer)
            if cut:
                self.wfile.flush()
                self._drop()

        @property
        def _is_head(self) -> bool:
            return self.command == "HEAD"

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                connection.close()

        def _refuse(self, status: int, code: str) -> None:
            body = _ERROR.format(code=code).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not self._is_head:
                self.wfile.write(body)

        def _drop(self) -> None:
            self.close_connection = True
            self.connection.close()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
