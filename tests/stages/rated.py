"""Explanations of the same images by two models, to be rated, and a visitor of the page without a browser."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import torch

from glasshouse.report.explanations import Column, Explanations
from glasshouse.review import Rating, Votes, opened, rating_of
from glasshouse.review.server import Pages, server_of

HOSTILE = "<script>alert('x')</script>"
NAMES = ("baseline-secret", "candidate-secret")


def written(folder: Path, seed: int, *, images: int = 6, looks: tuple[str, ...] = ("GradCAM", "Gradient")) -> Path:
    """A folder of explanations: the images are the same for every seed, the maps are not."""
    x = torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(seed)
    columns = tuple(
        Column(name, name, f"{name}()", torch.randn(images, 8, 8, generator=draws), None, 1.0, 1) for name in looks
    )
    y, target = torch.arange(images) % 2, torch.zeros(images, dtype=torch.long)
    probability = torch.tensor([[0.7, 0.3]]).repeat(images, 1)
    titles = tuple(f"{i}.png" for i in range(images))
    names, index = ("cat", HOSTILE), torch.arange(images) * 10
    found = Explanations(x, y, probability, target, columns, names, titles, index, model=f"model of {folder.name}")
    found.save(folder)
    return folder


def two(folder: Path, images: int = 6, looks: tuple[str, ...] = ("GradCAM", "Gradient")) -> tuple[Path, Path]:
    """The folders of a reference and a candidate."""
    a, b = (written(folder / name, seed, images=images, looks=looks) for seed, name in enumerate(NAMES, 1))
    return a, b


class Visitor:
    """Someone who asks for pages and keeps cookies."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port, self.cookies = port, dict[str, str]()
        if token:
            assert self.get(f"/?token={token}")[0] == 200

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        told = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        connection.request(method, path, body, told | {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("set-cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, content

    def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        """Status, where it leads, and the text."""
        status, told, content = self.ask("GET", path, **headers)
        return status, told.get("location", ""), content.decode(errors="replace")

    def post(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str, str]:
        body = urlencode(fields).encode()
        status, told, content = self.ask("POST", path, body, **headers)
        return status, told.get("location", ""), content.decode(errors="replace")

    def enter(self, name: str) -> str:
        """Say who it is; returns where to go."""
        status, where, _ = self.post("/rater", {"rater": name})
        assert status == 303
        return where

    def vote(self, path: str, choice: str) -> str:
        """Vote on the pair at an address; returns where to go."""
        key = key_in(self.get(path)[2])
        status, where, text = self.post(path, {"key": key, "choice": choice})
        assert status == 303, text
        return where


def key_in(page: str) -> str:
    found = re.search(r'name="key" value="([0-9a-f]{32})"', page)
    assert found, page
    return found[1]


@contextmanager
def served(rating: Rating, votes: Votes) -> Iterator[Pages]:
    """The pages, at a port of this machine that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pages = Pages(rating, votes, listening.getsockname()[1])
        server = server_of(pages)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield pages
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def begun(folder: Path, images: int = 6, explainer: str = "") -> tuple[Rating, Votes]:
    """A rating of two folders, without votes."""
    rating = rating_of(*two(folder, images), explainer)
    return rating, opened(rating, folder / "votes")


def port_of(pages: Pages) -> int:
    return int(pages.entry.rsplit("-", 1)[1])
