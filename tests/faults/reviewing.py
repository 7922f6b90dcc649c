"""Faults in rating maps: votes that are lost or miscounted, pages that give away too much or let anyone in."""

from __future__ import annotations

from fault import Fault

REVIEW, PAGES = (f"tests/stages/test_{name}.py" for name in ("review", "review_pages"))

FAULTS = [
    # what votes come to
    Fault("ties go to B", "review/tally.py", 'if len(first) == 1 else "same"', "", REVIEW),
    Fault("more than half", "review/tally.py", "if len(first) == 1 else", "if 2 * most > self.total else", REVIEW),
    Fault(
        "A is better",
        "review/tally.py",
        '{SIDES[1]: "pos", "": "same", SIDES[0]: "neg"}',
        '{SIDES[0]: "pos", "": "same", SIDES[1]: "neg"}',
        REVIEW,
    ),
    Fault(
        "places count",
        "review/votes.py",
        'return self.left if self.choice == "left" else',
        'return "A" if self.choice == "left" else',
        REVIEW,
    ),
    Fault(
        "more raters than asked", "review/tally.py", "if ballot.total >= raters}", "if ballot.total > raters}", REVIEW
    ),
    Fault(
        "ties in the test",
        "review/tally.py",
        '{"pos": 1.0, "same": 0.0, "neg": -1.0}',
        '{"pos": 1.0, "same": -1.0, "neg": -1.0}',
        REVIEW,
    ),
    Fault("agrees with oneself", "review/tally.py", "sum(votes * (votes - 1) for", "sum(votes * votes for", REVIEW),
    Fault("chance of a pair", "review/tally.py", "((several.sum(0) / several.sum()) ** 2).sum()", "1 / 3", REVIEW),
    Fault(
        "habit with no difference",
        "review/tally.py",
        "if vote.better and vote.pair in enough",
        "if vote.pair in enough",
        REVIEW,
    ),
    Fault("one tally for all", "review/results.py", "if of[vote.pair] == name]", "]", REVIEW),
    Fault(
        "decided by anyone",
        "review/results.py",
        "in tallies(found, votes, raters).items()}",
        "in tallies(found, votes, 1).items()}",
        REVIEW,
    ),
    # how votes are kept
    Fault(
        "the first vote counts",
        "review/votes.py",
        "            self.last[vote.rater, vote.pair] = vote\n\n    def check",
        "            self.last.setdefault((vote.rater, vote.pair), vote)\n\n    def check",
        REVIEW,
    ),
    Fault(
        "one rater only",
        "review/votes.py",
        "self.last[vote.rater, vote.pair] = vote\n\n    def every",
        'self.last["", vote.pair] = vote\n\n    def every',
        REVIEW,
    ),
    Fault("not synced", "review/votes.py", "                os.fsync(file.fileno())\n", "", REVIEW),
    Fault(
        "a cut line takes the next along",
        "review/votes.py",
        'b"\\n" + line if ends_torn(file) else line',
        "line",
        REVIEW,
    ),
    Fault(
        "a cut line stops all",
        "review/votes.py",
        "            if vote is None:\n                self.torn += 1\n                continue\n",
        "            assert vote\n",
        REVIEW,
    ),
    Fault("nothing is checked", "review/votes.py", "        self.check(vote)\n        line", "        line", REVIEW),
    Fault(
        "counted before it is kept",
        "review/votes.py",
        "        with self.lock:\n            with self.path",
        "        with self.lock:\n            self.last[vote.rater, vote.pair] = vote\n            with self.path",
        REVIEW,
    ),
    Fault("any folder goes on", "review/rating.py", "        same_setting(found, file)\n", "        pass\n", REVIEW),
    Fault("a full folder", "review/rating.py", "elif out.is_dir() and any(out.iterdir()):", "elif False:", REVIEW),
    # which pairs there are
    Fault("any images", "review/pairs.py", "    if differ.any():", "    if False:", REVIEW),
    Fault("explainers by name alone", "review/pairs.py", "if text in named}", "}", REVIEW),
    Fault(
        "the same seed always",
        "review/pairs.py",
        "torch.arange(images), count, seed)",
        "torch.arange(images), count, 0)",
        REVIEW,
    ),
    Fault(
        "one side for a rater",
        "review/rating.py",
        'self.drawn(rater, pair, "side")[0] % 2',
        'self.drawn(rater, self.pairs[0], "side")[0] % 2',
        REVIEW,
    ),
    Fault(
        "one side for a pair",
        "review/rating.py",
        'self.drawn(rater, pair, "side")[0] % 2',
        'self.drawn("", pair, "side")[0] % 2',
        REVIEW,
    ),
    Fault("always A on the left", "review/rating.py", "return SIDES[self.drawn", "return SIDES[0 * self.drawn", REVIEW),
    Fault(
        "one order for all",
        "review/rating.py",
        'self.drawn(rater, pair, "order")',
        'self.drawn("", pair, "order")',
        REVIEW,
    ),
    Fault(
        "sides swapped",
        "review/rating.py",
        '(self.left(rater, pair) == "A") != (place == "left")',
        '(self.left(rater, pair) == "A") == (place == "left")',
        REVIEW,
    ),
    Fault(
        "one scale for all maps", "review/pairs.py", "None if by_superpixels else reach(attribution))", "3.0)", REVIEW
    ),
    Fault(
        "each drawn in its own way",
        "review/pairs.py",
        "if is_binary(own) and is_binary(other):",
        "if is_binary(own):",
        REVIEW,
    ),
    Fault("pauses count", "review/rating.py", "if 0 < later - earlier < PAUSE]", "]", REVIEW),
    Fault(
        "images are not kept",
        "report/explanations.py",
        '    kept["pixels"] = (found.x * 255).round().byte()\n',
        "",
        REVIEW,
    ),
    Fault(
        "images are rounded down",
        "report/explanations.py",
        "(found.x * 255).round().byte()",
        "(found.x * 255).byte()",
        REVIEW,
    ),
    # who may see the pages
    Fault("no token", "review/guard.py", "if not self.known(scope, headers):", "if False:", PAGES),
    Fault("the token anywhere", "review/guard.py", '        if scope["path"] == "/":\n', "        if True:\n", PAGES),
    Fault("any host", "review/guard.py", "if name_in(host) not in HOSTS:", "if False:", PAGES),
    Fault(
        "hosts that begin so",
        "review/guard.py",
        "if name_in(host) not in HOSTS:",
        "if not name_in(host).startswith(HOSTS):",
        PAGES,
    ),
    Fault(
        "any origin",
        "review/guard.py",
        'if headers.get("origin", f"http://{host}") != f"http://{host}":',
        "if False:",
        PAGES,
    ),
    Fault("endless bodies", "review/server.py", "if len(body) > LARGEST:", "if False:", PAGES),
    Fault(
        "scripts read the token",
        "review/server.py",
        "set_cookie(self.entry, self.token, httponly=True,",
        "set_cookie(self.entry, self.token, httponly=False,",
        PAGES,
    ),
    Fault(
        "the token on the way from elsewhere",
        "review/server.py",
        'self.entry, self.token, httponly=True, samesite="strict"',
        'self.entry, self.token, httponly=True, samesite="lax"',
        PAGES,
    ),
    Fault("inline scripts", "review/guard.py", "script-src 'nonce-{nonce}'; ", "script-src 'unsafe-inline'; ", PAGES),
    Fault("one nonce for all", "review/guard.py", "nonce = secrets.token_urlsafe(16)", 'nonce = "once"', PAGES),
    Fault(
        "the whole network",
        "review/server.py",
        'socket.create_server(("127.0.0.1", port))',
        'socket.create_server(("0.0.0.0", port))',
        REVIEW,
    ),
    Fault("says what it is", "review/server.py", "server_header=False", "server_header=True", PAGES),
    Fault("nothing is escaped", "report/templates.py", "autoescape=True", "autoescape=False", PAGES),
    # what the pages take and give away
    Fault(
        "any choice", "review/server.py", 'if form.get("choice") not in CHOICES:', 'if not form.get("choice"):', PAGES
    ),
    Fault(
        "any key",
        "review/server.py",
        'if not hmac.compare_digest(form.get("key", "").encode(), self.key(rater, pair, "vote").encode()):',
        "if False:",
        PAGES,
    ),
    Fault(
        "a key for all raters", "review/server.py", "repr((rater, pair.name, what))", "repr((pair.name, what))", PAGES
    ),
    Fault("a key for all pairs", "review/server.py", "repr((rater, pair.name, what))", "repr((rater, what))", PAGES),
    Fault(
        "keys that tell",
        "review/server.py",
        '"sha256").hex()[:32]',
        '"sha256").hex()[:31] + str(int(self.rating.left(rater, pair) == "A"))',
        PAGES,
    ),
    Fault(
        "numbers from 0",
        "review/server.py",
        "if not 1 <= number <= len(self.rating.pairs):",
        "if not 0 <= number <= len(self.rating.pairs):",
        PAGES,
    ),
    Fault("numbers in any script", "review/server.py", "text.isascii() and ", "", PAGES),
    Fault("names of control letters", "review/votes.py", " or not name.isprintable()", "", PAGES),
    Fault("a failure without words", "review/server.py", ", OSError: self.lost}", "}", PAGES),
    Fault("cookies of other servers", "review/server.py", 'f"glasshouse-rater-{port}"', '"glasshouse-rater"', PAGES),
    Fault("back to the first", "review/server.py", "(later or open_ones)[0]", "open_ones[0]", PAGES),
    Fault("never done", "review/server.py", 'if open_ones else "/done"', 'if open_ones else "/pair/1"', PAGES),
    Fault(
        "old answers are not shown",
        "review/server.py",
        '"chosen": voted[pair.name].choice if pair.name in voted else ""',
        '"chosen": ""',
        PAGES,
    ),
]
