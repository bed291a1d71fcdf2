"""An OpenAI-compatible server on loopback that answers as it is told, and misbehaves as it is told.

Belongs here: the protocol and its faults. Does not: what is asked, or any assertion.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Answers the last message by `answer`; `script` says how it answers each of the next requests.

    A step of the script is a status code, `slow` (1.5 s), `drop` (no answer), `noise` (no HTTP), `cut` (breaks off), `html`,
    `huge`, or the name of one of `texts`.
    """

    def __init__(self, answer: Callable[[str], str], texts: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.texts = answer, dict(texts)
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.script: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        return

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        step = self.server.script.pop(0) if self.server.script else ""
        if step.isdigit():
            self.send_error(int(step))
            return
        if step == "slow":
            time.sleep(1.5)
        if step == "drop":
            self.connection.close()
            return
        if step in ("noise", "cut"):
            head = b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{" if step == "cut" else b"no HTTP at all\r\n"
            self.wfile.write(head)
            return
        text = self.server.texts.get(step) or self.server.answer(body["messages"][-1]["content"])
        reply = {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 100}}
        data = b"<html>" if step == "html" else json.dumps(reply).encode()
        data = b" " * (2 << 20) if step == "huge" else data
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            return


@contextmanager
def endpoint(answer: Callable[[str], str], texts: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A running server."""
    made = Server(answer, texts or {})
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
