"""The pages of a rating, and the server on this machine that shows them."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import uvicorn
from jinja2 import Template
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ..report.templates import template
from .examples import example_pictures
from .guard import Guard
from .pairs import Pair
from .rating import Rating, seconds_left
from .votes import CHOICES, Votes, rater_name

LARGEST = 4096  # bytes of a form
PLACES = ("image", "left", "right")


class Pages:
    """The pages of one rating; a rater is known by a cookie, and sees nothing that names A or B."""

    def __init__(self, rating: Rating, votes: Votes, port: int) -> None:
        self.rating, self.votes = rating, votes
        self.token, self.secret = secrets.token_urlsafe(24), secrets.token_bytes(32)
        # Cookies know no ports: two ratings at once on one machine must not take each other's.
        self.entry, self.who = f"glasshouse-token-{port}", f"glasshouse-rater-{port}"

    def app(self) -> Starlette:
        """The pages behind their guard."""
        return Starlette(
            routes=[
                Route("/", self.start),
                Route("/rater", self.enter, methods=["POST"]),
                Route("/pair/{number}", self.pair, methods=["GET"]),
                Route("/pair/{number}", self.vote, methods=["POST"]),
                Route("/picture/{number}/{key}", self.picture),
                Route("/done", self.done),
            ],
            middleware=[Middleware(Guard, token=self.token, cookie=self.entry)],
            exception_handlers={HTTPException: self.refused, OSError: self.lost},
        )

    def start(self, request: Request) -> Response:
        """How to read a map, and who is there."""
        answer = self.first(request)
        # No redirect to an address without the token: a browser that follows a link from elsewhere would not send
        # a strict cookie along.
        answer.set_cookie(self.entry, self.token, httponly=True, samesite="strict")
        return answer

    def first(self, request: Request, problem: str = "", status: int = 200) -> HTMLResponse:
        """The first page; a rater who came back to it may go on."""
        rater = self.rater(request)
        told = {"examples": example_pictures(), "pairs": len(self.rating.pairs), "problem": problem}
        return self.page(request, "start.html", told | {"rater": rater, "next": self.next_after(rater, 0)}, status)

    async def enter(self, request: Request) -> Response:
        """A rater says who they are, and goes on where they were."""
        form = await fields(request)
        try:
            name = rater_name(form.get("rater", ""))
        except ValueError as error:
            return self.first(request, str(error), 400)
        answer = RedirectResponse(self.next_after(name, 0), 303)
        answer.set_cookie(self.who, quote(name, safe=""), httponly=True, samesite="strict")
        return answer

    def pair(self, request: Request) -> Response:
        """Two maps of one image."""
        rater, number, pair = self.asked(request)
        voted = self.votes.of(rater)
        height, width = self.rating.size
        told = {
            "number": number,
            "pairs": len(self.rating.pairs),
            "done": len(voted),
            "left": in_words(seconds_left(list(voted.values()), len(self.rating.pairs) - len(voted))),
            "shown": self.rating.shown(pair),
            "pictures": {place: f"/picture/{number}/{self.key(rater, pair, place)}" for place in PLACES},
            "key": self.key(rater, pair, "vote"),
            "chosen": voted[pair.name].choice if pair.name in voted else "",
            "small": max(height, width) <= 96,
            "height": height,
            "width": width,
        }
        return self.page(request, "pair.html", told)

    async def vote(self, request: Request) -> Response:
        """A vote; the answer is sent when it is kept."""
        form = await fields(request)
        rater, number, pair = self.asked(request, unknown=400)
        # The key is of one rater and one pair: a page that was loaded by another rater does not vote for this one.
        if not hmac.compare_digest(form.get("key", "").encode(), self.key(rater, pair, "vote").encode()):
            raise HTTPException(400, "This page was made for another rater or by an earlier server.")
        if form.get("choice") not in CHOICES:
            raise HTTPException(400, f"A choice is one of: {', '.join(CHOICES)}.")
        await run_in_threadpool(self.votes.add, self.rating.vote(rater, pair, form["choice"]))
        return RedirectResponse(self.next_after(rater, number), 303)

    def picture(self, request: Request) -> Response:
        """A picture, by a key that says nothing and is another for every rater."""
        rater, _, pair = self.asked(request)
        for place in PLACES:
            if hmac.compare_digest(self.key(rater, pair, place).encode(), request.path_params["key"].encode()):
                return Response(self.rating.picture(rater, pair, place), media_type="image/png")
        raise HTTPException(404)

    def done(self, request: Request) -> Response:
        """Thanks, and how much there is; not who is ahead, as there may be more raters."""
        rater = self.rater(request)
        if not rater:
            return RedirectResponse("/", 303)
        told = {"rater": rater, "done": len(self.votes.of(rater)), "pairs": len(self.rating.pairs)}
        raters = len({vote.rater for vote in self.votes.every()})
        return self.page(request, "done.html", told | {"raters": raters, "next": self.next_after(rater, 0)})

    def asked(self, request: Request, unknown: int = 404) -> tuple[str, int, Pair]:
        """Who asks, and for which pair: its number in the rater's own order, and the pair."""
        rater, text = self.rater(request), request.path_params["number"]
        if not rater:
            raise HTTPException(303, headers={"Location": "/"})
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
        if not 1 <= number <= len(self.rating.pairs):
            raise HTTPException(unknown, f"There are pairs 1 to {len(self.rating.pairs)}.")
        return rater, number, self.rating.order(rater)[number - 1]

    def rater(self, request: Request) -> str:
        """The name of who asks; empty if it is not known."""
        try:
            return rater_name(unquote(request.cookies.get(self.who, "")))
        except ValueError:
            return ""

    def next_after(self, rater: str, number: int) -> str:
        """The first pair without a vote after one, or before it, or the end."""
        voted, order = self.votes.of(rater), self.rating.order(rater)
        open_ones = [i for i, pair in enumerate(order, 1) if pair.name not in voted]
        later = [i for i in open_ones if i > number]
        return f"/pair/{(later or open_ones)[0]}" if open_ones else "/done"

    def key(self, rater: str, pair: Pair, what: str) -> str:
        """A text that only this server can make, for one rater, pair and thing."""
        return hmac.digest(self.secret, repr((rater, pair.name, what)).encode(), "sha256").hex()[:32]

    def page(self, request: Request, name: str, told: dict[str, Any], status: int = 200) -> HTMLResponse:
        """A page from a template."""
        return HTMLResponse(filled(name).render(told | {"nonce": request.state.nonce}), status)

    def refused(self, request: Request, error: Exception) -> Response:
        """What cannot be answered, in words."""
        assert isinstance(error, HTTPException)
        if error.status_code == 303:
            return RedirectResponse("/", 303)
        words = {404: "There is no such page.", 405: "This page takes no such request."}
        problem = words.get(error.status_code, error.detail) if error.detail in ("Not Found", "") else error.detail
        return self.page(request, "refused.html", {"problem": problem}, error.status_code)

    def lost(self, request: Request, error: Exception) -> Response:
        """A vote that could not be kept."""
        told = {"problem": f"The vote was not kept: {getattr(error, 'strerror', None) or error}."}
        return self.page(request, "refused.html", told, 500)


@cache
def filled(name: str) -> Template:
    """A template of these pages, read once."""
    return template(name, "review")


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form, whose body may not be large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"A vote takes less than {LARGEST} bytes.")
    try:
        found = parse_qs(body.decode(), max_num_fields=8)
    except ValueError:
        raise HTTPException(400, "This is no form.") from None
    return {name: values[0] for name, values in found.items()}


def in_words(seconds: float) -> str:
    """How long something takes, roughly."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes} minute{'' if minutes == 1 else 's'} left"


def serve(rating: Rating, votes: Votes, port: int, ready: Callable[[str], None]) -> None:
    """Show the pages to this machine until it is interrupted; ``ready`` gets their address, with the token.

    Raises:
        OSError: if the port is taken.
    """
    with socket.create_server(("127.0.0.1", port)) as listening:
        port = listening.getsockname()[1]
        pages = Pages(rating, votes, port)
        server = server_of(pages)
        ready(f"http://127.0.0.1:{port}/?token={pages.token}")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def server_of(pages: Pages) -> uvicorn.Server:
    """A server that says nothing of itself, and does not wait for browsers that keep their connection."""
    return uvicorn.Server(
        uvicorn.Config(
            pages.app(),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
