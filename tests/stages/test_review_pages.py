"""The pages on which maps are rated: who may see them, what they give away, and how they work in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rated import HOSTILE, NAMES, Visitor, begun, key_in, port_of, served

from glasshouse.review import Rating, Votes, opened, write_results
from glasshouse.review.examples import example_pictures
from glasshouse.review.server import Pages, in_words


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with served(*begun(tmp_path_factory.mktemp("pages"))) as found:
        yield found


@pytest.fixture
def visitor(pages: Pages) -> Visitor:
    return Visitor(port_of(pages), pages.token)


# who may see them

EVERY = ("/", "/pair/1", "/done", "/picture/1/0", "/nothing")


@pytest.mark.parametrize("path", EVERY)
def test_nobody_sees_anything_without_the_token(path: str, pages: Pages) -> None:
    stranger = Visitor(port_of(pages))
    wrong = pages.token[:-1] + ("a" if pages.token[-1] != "a" else "b")
    for query in ("", "?token=", f"?token={wrong}", "?token=%00%ff", "?" + "&".join(f"a{i}=1" for i in range(2000))):
        status, _, text = stranger.get(path + query)
        assert status == 403 and "with its token" in text and pages.token not in text
    stranger.cookies = {pages.entry: wrong, pages.who: "Ada"}
    assert stranger.get(path)[0] == 403
    assert path == "/" or Visitor(port_of(pages)).get(f"{path}?token={pages.token}")[0] == 403
    assert stranger.post("/rater", {"rater": "Ada"})[0] == 403


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(pages: Pages) -> None:
    stranger = Visitor(port_of(pages))
    _, told, _ = stranger.ask("GET", f"/?token={pages.token}")
    flags = {part.strip().lower() for part in told["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict"} <= flags
    assert stranger.get("/")[0] == 200
    _, told, _ = stranger.ask("POST", "/rater", b"rater=Ada")
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in told["set-cookie"].split(";")[1:]}
    other = Pages(pages.rating, pages.votes, 1)
    assert len(pages.token) >= 32 and len({pages.token, other.token, pages.entry, other.entry}) == 4
    assert pages.who != other.who  # or the one would take the other's rater for its own


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
def test_a_name_of_someone_else_for_this_machine_is_refused(host: str, visitor: Visitor) -> None:
    status, _, text = visitor.get("/", Host=host)
    assert status in (400, 403) and "<form" not in text
    for own in ("127.0.0.1", "localhost:8000", f"127.0.0.1:{visitor.port}", "[::1]:1"):
        assert visitor.get("/", Host=own)[0] == 200


def test_a_page_of_another_site_may_not_vote(pages: Pages, visitor: Visitor) -> None:
    where = visitor.enter("Olga")
    fields = {"key": key_in(visitor.get(where)[2]), "choice": "left"}
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{visitor.port + 1}"):
        assert visitor.post(where, fields, Origin=origin)[0] == 403
    assert pages.votes.of("Olga") == {}
    assert visitor.post(where, fields, Origin=f"http://127.0.0.1:{visitor.port}")[0] == 303
    assert len(pages.votes.of("Olga")) == 1


@pytest.mark.parametrize("path", ["/", "/pair/1", "/done", "/pair/99", "/no"])
def test_every_answer_forbids_what_it_does_not_need(path: str, visitor: Visitor) -> None:
    visitor.enter("Ada")
    status, told, content = visitor.ask("GET", path)
    text, policy = content.decode(), told["content-security-policy"]
    assert status in (200, 404) and "default-src 'none'" in policy and "unsafe" not in policy
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    assert set(re.findall(r'nonce="([^"]+)"', text)) == {nonce}
    assert nonce not in visitor.ask("GET", path)[1]["content-security-policy"]
    assert all(f'nonce="{nonce}"' in tag for tag in re.findall(r"<(?:script|style)[^>]*>", text))
    assert " style=" not in text and " onclick=" not in text and "http://" not in text and "https://" not in text
    assert told["x-content-type-options"] == "nosniff" and told["cache-control"] == "no-store"
    assert "server" not in told


# what is said to them


def test_bad_votes_are_refused_and_not_kept(pages: Pages, visitor: Visitor) -> None:
    where = visitor.enter("Bert")
    key = key_in(visitor.get(where)[2])
    cases = (
        (where, {"key": key, "choice": "both"}, 400),
        (where, {"key": key}, 400),
        (where, {"choice": "left"}, 400),
        (where, {"key": "0" * 32, "choice": "left"}, 400),
        ("/pair/2", {"key": key, "choice": "left"}, 400),
        ("/pair/0", {"key": key, "choice": "left"}, 400),
        ("/pair/13", {"key": key, "choice": "left"}, 400),
        ("/pair/-1", {"key": key, "choice": "left"}, 400),
        ("/pair/" + "9" * 5000, {"key": key, "choice": "left"}, 400),
        (where, {"key": key, "choice": "left", "x": "y" * 5000}, 413),
        (where, {f"f{i}": "1" for i in range(100)}, 400),
    )
    for path, fields, status in cases:
        found, _, text = visitor.post(path, fields)
        assert found == status and ("That did not work" in text or found == 413), (path[:20], fields, found)
    assert visitor.ask("POST", where, b"\xff\xfe=\xff")[0] == 400
    assert (
        visitor.ask("PUT", where, b"choice=left")[0] == 405 and visitor.get(f"{where}?choice=left&key={key}")[0] == 200
    )
    assert pages.votes.of("Bert") == {}


def test_a_body_without_a_length_is_not_read_for_ever(visitor: Visitor) -> None:
    visitor.enter("Bert")
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    told = f"POST /pair/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nCookie: {cookie}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", visitor.port), timeout=10) as raw:
        raw.sendall(told.encode() + b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(8)))
        assert b" 413 " in raw.recv(200)


ELSEWHERE = (
    *("/picture/1/../../rating.json", "/picture/1/%2e%2e%2f%2e%2e%2fvotes.jsonl", "/../votes.jsonl", "/results.json"),
    *(f"/picture/1/{'0' * 32}", "/picture/0/0", "/picture/x/y", "/pair/%D9%A3", "/pair/1/", "/pair/1e0", "//", "/%00"),
)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_only_pages_and_pictures_are_given_out(path: str, visitor: Visitor) -> None:
    visitor.enter("Ada")
    status, _, text = visitor.get(path)
    assert status in (307, 404) and ("That did not work" in text or not text)


def test_a_hostile_name_is_shown_as_text(pages: Pages, visitor: Visitor) -> None:
    visitor.enter(HOSTILE)
    page = visitor.get("/done")[2]
    assert HOSTILE not in page and html.escape(HOSTILE, quote=False).split("'")[0] in page
    assert any(HOSTILE in html.unescape(visitor.get(f"/pair/{n}")[2]) for n in range(1, 7))
    assert not any(HOSTILE in visitor.get(f"/pair/{n}")[2] for n in range(1, 7))
    where = visitor.enter(HOSTILE)
    visitor.vote(where, "same")
    assert [v.rater for v in pages.votes.every() if "script" in v.rater] == [HOSTILE]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b", "a\u202eb"])
def test_a_name_that_is_none_is_asked_for_again(name: str, visitor: Visitor) -> None:
    status, _, text = visitor.post("/rater", {"rater": name})
    assert status == 400 and "Please try again: a name has 1 to 60 letters." in text
    visitor.cookies = {name: value for name, value in visitor.cookies.items() if "rater" not in name}
    assert visitor.get("/pair/1")[:2] == (303, "/") and visitor.get("/done")[:2] == (303, "/")


def test_a_vote_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    rating, votes = begun(tmp_path)
    with served(rating, votes) as found:
        visitor = Visitor(port_of(found), found.token)
        where = visitor.enter("Ada")
        fields = {"key": key_in(visitor.get(where)[2]), "choice": "left"}
        votes.path.mkdir()
        status, _, text = visitor.post(where, fields)
        assert status == 500 and "The vote was not kept: Is a directory." in text and votes.every() == []
        votes.path.rmdir()
        assert visitor.post(where, fields)[0] == 303


# what they give away


def test_nothing_tells_which_map_is_whose(pages: Pages) -> None:
    secrets_ = (
        *NAMES,
        "explain",
        pages.rating.a.digest[:12],
        pages.rating.b.digest[:12],
        "GradCAM",
        "Gradient",
        ".png",
    )
    addresses, keys = [], []
    for rater in ("Ada", "Bo"):
        visitor = Visitor(port_of(pages), pages.token)
        visitor.enter(rater)
        for number, pair in enumerate(pages.rating.order(rater), 1):
            _, told, content = visitor.ask("GET", f"/pair/{number}")
            page = content.decode()
            assert not [s for s in secrets_ if s in page or s in str(told)]
            sources = re.findall(r'<img src="(/picture/\d+/[0-9a-f]{32})"', page)
            pictures = [visitor.ask("GET", source) for source in sources]
            assert [p[2] for p in pictures] == [
                pages.rating.picture(rater, pair, place) for place in ("left", "image", "right")
            ]
            names = {frozenset(p[1]) for p in pictures}
            assert len(names) == 1 and all(p[1]["content-type"] == "image/png" for p in pictures)
            addresses += sources
            keys.append(key_in(page))
    assert len(set(addresses)) == len(addresses) == 2 * 12 * 3 and len(set(keys)) == 24
    for place in range(1, 33):  # no letter of an address or key tells by what it is
        assert all(len({text[-place] for text in texts}) > 5 for texts in (addresses, keys))
    stranger = Visitor(port_of(pages), pages.token)
    stranger.enter("Cy")
    assert {stranger.get(address)[0] for address in addresses} == {404}


def test_pages_differ_between_sides_in_pictures_alone(pages: Pages) -> None:
    """Two raters, one of whom sees A and the other B on the left of one pair: but for names, the pages are the same."""

    def stripped(rater: str, number: int) -> str:
        visitor = Visitor(port_of(pages), pages.token)
        visitor.enter(rater)
        page = visitor.get(f"/pair/{number}")[2]
        return re.sub(r'[0-9a-f]{32}|nonce="[^"]+"|/pair/\d+|/picture/\d+|\b\d+ of \d+', "", page)

    pair, found = pages.rating.pairs[0], dict[str, str]()
    for rater in (f"new {i}" for i in range(200)):
        number = pages.rating.order(rater).index(pair) + 1
        if 1 < number < 12:
            found.setdefault(pages.rating.left(rater, pair), stripped(rater, number))
        if len(found) == 2:
            break
    assert set(found) == {"A", "B"} and found["A"] == found["B"]


def test_what_is_open_comes_next_and_then_what_was_passed_over(visitor: Visitor) -> None:
    assert visitor.enter("Finn") == "/pair/1"
    assert visitor.vote("/pair/3", "same") == "/pair/4"
    assert visitor.vote("/pair/2", "left") == "/pair/4"
    assert visitor.vote("/pair/12", "right") == "/pair/1"
    assert visitor.enter("Finn") == "/pair/1" and visitor.enter("Gil") == "/pair/1"


def test_a_page_of_another_rater_does_not_vote(pages: Pages) -> None:
    one, other = (Visitor(port_of(pages), pages.token) for _ in range(2))
    where = one.enter("Dora")
    key = key_in(one.get(where)[2])
    other.enter("Emil")
    status, _, text = other.post(where, {"key": key, "choice": "left"})
    assert status == 400 and "made for another rater" in text and pages.votes.of("Emil") == {}


def test_the_pages_say_how_to_read_a_map_with_examples(visitor: Visitor) -> None:
    page = visitor.get("/")[2]
    assert "How to read a map" in page and page.count("data:image/") == 4 == len(set(example_pictures().values()))
    assert page.count("<b>Worse</b>") == 2 and page.count("<b>Better</b>") == 1 and "go on as" not in page
    visitor.enter("Ada & Bo")
    assert '<a href="/pair/1">go on as Ada &amp; Bo</a>' in visitor.get("/")[2]


def test_time_left_is_in_words() -> None:
    said = [in_words(seconds) for seconds in (0, 20, 60, 200)]
    assert said == ["less than a minute left", "less than a minute left", "about 1 minute left", "about 3 minutes left"]


# in a real browser


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    """A browser without a window, with a new profile."""
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver is installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    off = ("gpu", "quic", "background-networking", "component-update", "sync")
    for argument in ("headless=new", "no-sandbox", "no-first-run", *(f"disable-{name}" for name in off)):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    found.implicitly_wait(5)
    yield found
    found.quit()


class Person:
    """Someone in front of the browser."""

    def __init__(self, browser: Any, address: str, name: str) -> None:
        self.browser = browser
        browser.get(address)
        browser.find_element("name", "rater").send_keys(name)
        self.click("button")

    def click(self, selector: str) -> None:
        self.leave(lambda: self.browser.find_element("css selector", selector).click())

    def press(self, key: str) -> None:
        self.leave(lambda: self.browser.find_element("css selector", "body").send_keys(key))

    def leave(self, act: Any) -> None:
        """Do something, and wait until the next page is whole."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser.execute_script("document.old = true")
        act()
        script = "return !document.old && document.readyState === 'complete'"
        WebDriverWait(self.browser, 10, 0.02).until(lambda b: b.execute_script(script))

    @property
    def path(self) -> str:
        return "/" + self.browser.current_url.split("/", 3)[3]

    @property
    def text(self) -> str:
        found: str = self.browser.find_element("css selector", "main").text
        return found


def better_of(votes: Votes, rater: str, rating: Rating) -> list[str]:
    """What a rater thinks of each pair, in the rater's order."""
    given = votes.of(rater)
    return [given[pair.name].better if pair.name in given else "-" for pair in rating.order(rater)]


def test_two_raters_in_a_browser_click_press_keys_go_back_and_the_export_is_theirs(
    chromium: Any, tmp_path: Path
) -> None:
    rating, votes = begun(tmp_path, images=4, explainer="GradCAM")
    with served(rating, votes) as found:
        address = f"http://127.0.0.1:{port_of(found)}/?token={found.token}"
        ada = Person(chromium, address, "Ada")
        assert ada.path == "/pair/1" and "1 of 4" in ada.text
        sizes = chromium.execute_script("return [...document.images].map(i => i.naturalWidth)")
        assert sizes == [8, 8, 8]
        ada.click("button[value=left]")
        ada.press("3")
        ada.press("2")
        assert ada.path == "/pair/4" and "3 answered" in ada.text and "minute left" in ada.text
        ada.click("#back")
        ada.click("#back")
        assert ada.path == "/pair/2"
        pressed = chromium.find_element("css selector", "button[aria-pressed=true]")
        assert pressed.get_attribute("value") == "right"
        ada.press("1")  # changes the second answer, and leads to what is still open
        assert ada.path == "/pair/4"
        chromium.find_element("css selector", "body").send_keys("9x4")  # keys of nothing
        assert ada.path == "/pair/4" and "-" in better_of(votes, "Ada", rating)
        ada.press("3")
        assert ada.path == "/done" and "Thank you, Ada" in ada.text and "all 4 pairs" in ada.text
        assert not any(name in chromium.page_source for name in (*NAMES, "better"))

        bo = Person(chromium, address, HOSTILE)
        for key in "123":
            bo.press(key)
        assert bo.path == "/pair/4"
        chromium.get(address.split("?")[0] + "done")
        assert HOSTILE in bo.text and "3 of 4 pairs" in bo.text and "2\nraters so far" in bo.text
        assert chromium.get_log("browser") == []

    choices = [v.choice for v in opened(rating, tmp_path / "votes").every()]
    assert sorted(choices) == ["left", "left", "left", "right", "right", "same", "same"]
    expected = {}
    for rater, given in (("Ada", "llsr"), (HOSTILE, "lsr")):
        for pair, choice in zip(rating.order(rater), given, strict=False):
            left = rating.left(rater, pair)
            other = "B" if left == "A" else "A"
            expected.setdefault(pair.position, []).append({"l": left, "r": other, "s": ""}[choice])
    told = json.loads(write_results(rating, votes, 1, tmp_path).read_text())
    rows = {row["index"] // 10: [row["pos"], row["same"], row["neg"]] for row in told["pairs"]}
    assert rows == {position: [said.count(s) for s in ("B", "", "A")] for position, said in expected.items()}
    assert len((tmp_path / "votes" / "votes.jsonl").read_text().splitlines()) == 8


def test_the_pages_work_without_scripts_and_fit_a_phone(chromium: Any, tmp_path: Path) -> None:
    rating, votes = begun(tmp_path, images=2, explainer="GradCAM")
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def see(path: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(chromium, 10, 0.02).until(lambda b: b.current_url.endswith(path))
        wide = chromium.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]["width"]
        assert wide <= 360

    with served(rating, votes) as found:
        chromium.get(f"http://127.0.0.1:{port_of(found)}/?token={found.token}")
        see(found.token)
        chromium.find_element("name", "rater").send_keys("Ada")
        chromium.find_element("css selector", "button").click()
        for path, value in (("/pair/1", "left"), ("/pair/2", "right")):
            see(path)
            chromium.find_element("css selector", f"button[value={value}]").click()
        see("/done")
    assert sorted(v.choice for v in votes.every()) == ["left", "right"]
