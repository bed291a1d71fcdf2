"""Which requests the annotation page lets in, and what every response forbids the browser.

Belongs here: hosts, origins, tokens, sizes, headers. Does not: what a request means (`app`).

The page runs on a person's own machine, so the danger is other sites open in the same browser: one may send requests here
(refused by origin and token) or point its own host name here (refused by host). A text may hold a script (nothing inline runs).
"""

from __future__ import annotations

import hmac
import re
import secrets

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 1 << 20
TOKEN_COOKIE = "ddd_llm_token"
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that is not answered: HTTP status, snake_case reason, a sentence for the person."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class SecurityHeaders:
    """Middleware that sets the headers on every response, errors and static files included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in _HEADERS.items())]
            await send(message)

        await self._app(scope, receive, with_headers)


class LocalHostOnly:
    """Middleware that answers only to 127.0.0.1 and localhost, so that no other site's name can be pointed here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not _LOCAL.fullmatch(hosts[0]):
                body = b"open this page as 127.0.0.1 or localhost\n"
                await send(
                    {"type": "http.response.start", "status": 421, "headers": [(b"content-type", b"text/plain")]}
                )
                await send({"type": "http.response.body", "body": body})
                return
        await self._app(scope, receive, send)


def token_of(request: Request) -> str:
    """The browser's token; a new one where it has none. It lives in a cookie, so it outlasts a restart of the server."""
    return request.cookies.get(TOKEN_COOKIE) or secrets.token_urlsafe(24)


def check_request(request: Request, token: str) -> None:
    """Was a changing request sent by a page of ours?

    Args:
        request: the request.
        token: what the page sent beside the cookie.

    Raises:
        Refused: foreign_origin, wrong_token.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers['host']}":
        raise Refused(403, "foreign_origin", "another site sent this request")
    kept = request.cookies.get(TOKEN_COOKIE, "")
    if not kept or not hmac.compare_digest(kept.encode(), token.encode()):
        raise Refused(403, "wrong_token", "this page is out of date: open it again")


async def body_of(request: Request) -> bytes:
    """The body. Raises Refused: body_too_large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY:
            raise Refused(413, "body_too_large", f"an answer has at most {MOST_BODY:,} bytes")
    return bytes(body)
