"""What every request has to pass before it is answered, and what every answer says to the browser."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "::1")


class Guard:
    """Refuses whoever does not know the token, another host's name for this machine, and pages of other sites."""

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self.app, self.token, self.cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        reason = self.objection(scope)
        answer: ASGIApp = Response(reason, 403, media_type="text/plain") if reason else self.app

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(said(nonce))
            await send(message)

        await answer(scope, receive, closed)

    def objection(self, scope: Scope) -> str:
        """Why a request is refused; an empty text if it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # A name that someone else owns may lead to this machine: their pages must not read or vote here.
        if name_in(host) not in HOSTS:
            return "This page is served to this machine only, as 127.0.0.1 or localhost.\n"
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return "Another site may not ask for anything here.\n"
        if not self.known(scope, headers):
            return "Open the address that glasshouse printed, with its token.\n"
        return ""

    def known(self, scope: Scope, headers: Headers) -> bool:
        """Whether the token comes along: as a cookie, or in the address of the first page."""
        given = [cookie_parser(headers.get("cookie", "")).get(self.cookie, "")]
        if scope["path"] == "/":
            given.append(token_in(scope))
        return any(hmac.compare_digest(text.encode(), self.token.encode()) for text in given)


def token_in(scope: Scope) -> str:
    """The token in the address; empty if there is none."""
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def name_in(host: str) -> str:
    """The name in a Host header, without the port; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def said(nonce: str) -> dict[str, str]:
    """Headers of every answer: nothing from elsewhere is loaded or run, nothing is kept, no other site frames it."""
    policy = (
        f"default-src 'none'; img-src 'self' data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
