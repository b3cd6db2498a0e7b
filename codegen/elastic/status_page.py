"""What a server knows, to look at: a page and its JSON over HTTP. Nothing can be changed through it."""

from __future__ import annotations

import hmac
import ipaddress
import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from driftc.codegen.elastic.packet import Reason
from driftc.codegen.emit.emit import environment
from driftc.codegen.errors import UsageError

PORT = 8080
LEAST_TOKEN = 16  # characters
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class StatusPage:
    """Serves `known()`, the object of Store.as_json, on threads of its own."""

    def __init__(self, address: str, token: str | None, known: Callable[[], dict[str, Any]]) -> None:
        """`address`: HOST, :PORT or HOST:PORT. Beyond this machine nothing is shown without `token`.

        Raises UsageError.
        """
        host, port = parsed(address)
        if token is not None and len(token) < LEAST_TOKEN:
            raise UsageError(f"--http-token: has {len(token)} characters; {LEAST_TOKEN} or more cannot be guessed")
        if token is None and not loopback(host):
            raise UsageError(f"--http {address}: others could read it; give --http-token FILE, or listen on 127.0.0.1")
        handler = type("Handler", (_Handler,), {"token": token, "known": staticmethod(known)})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as problem:
            raise UsageError(f"--http {address}: cannot be listened on: {problem.strerror or problem}") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon:
        host, port = address, str(PORT)
    if not port.isascii() or not port.isdigit() or int(port) >= 1 << 16:
        raise UsageError(f"--http {address}: is no HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Handler(BaseHTTPRequestHandler):
    token: str | None
    known: Callable[[], dict[str, Any]]
    timeout = 30  # seconds that a reader may take
    server_version, sys_version = "driftc", ""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if not self._may(parse_qs(asked.query).get("token", [""])[0]):
            self._answer(HTTPStatus.UNAUTHORIZED, "text/plain", "needs the token: ?token=..., or a Bearer header\n")
        elif asked.path not in ("/", "/status.json"):
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there are / and /status.json\n")
        else:
            try:
                known = self.known()
            except Exception as problem:  # the database is away: the server goes on, and so does the page
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"the database cannot be read: {problem}\n")
                return
            if asked.path == "/":
                self._answer(HTTPStatus.OK, "text/html", page(known))
            else:
                self._answer(HTTPStatus.OK, "application/json", json.dumps(known) + "\n")

    def _may(self, given: str) -> bool:
        """With a token, who has it; without, what asks for this machine by name (no page of elsewhere does)."""
        if self.token is None:
            return loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname or "")
        scheme, _, header = self.headers.get("Authorization", "").partition(" ")
        said = header if scheme.lower() == "bearer" else given
        return hmac.compare_digest(said.strip().encode(), self.token.encode())

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: Any) -> None:
        """The server's log is of devices and rounds."""


def page(known: dict[str, Any]) -> str:
    template = environment().get_template("server.html.j2")
    return str(template.render(known=known, clock=_clock, reason=lambda number: Reason(number).name.lower()))


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
