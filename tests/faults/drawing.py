"""Faults in drawing curves and bars: what is lost, what is told as something else, what cannot be seen."""

from __future__ import annotations

from fault import Fault

DRAWINGS = "tests/stages/test_drawings.py"
PLOTS, DOCUMENTS = "report/plots.py", "report/documents.py"
POINTS_LEFT = "    points = points[np.isfinite(points).all(axis=1)]\n"

FAULTS = [
    # how names look
    Fault(
        "colours end",
        PLOTS,
        "        found[name] = Look(COLOURS[i % len(COLOURS)], *",
        "        found[name] = Look(COLOURS[i], *",
        DRAWINGS,
    ),
    Fault("rounds alike", PLOTS, "ROUNDS[i // len(COLOURS) % len(ROUNDS)]", "ROUNDS[0]", DRAWINGS),
    Fault("a colour for each line", PLOTS, "enumerate(dict.fromkeys(names))", "enumerate(names)", DRAWINGS),
    Fault("names are formulas", PLOTS, '"text.parse_math": False', '"text.parse_math": True', DRAWINGS),
    Fault("legend in one row", PLOTS, "ncols=columns", "ncols=len(names)", DRAWINGS),
    # curves
    Fault("nothing joined", PLOTS, 'else {"linestyle": look.line}', 'else {"linestyle": "none"}', DRAWINGS),
    Fault("published joined", PLOTS, '"linestyle": "none"} if line', '"linestyle": "-"} if line', DRAWINGS),
    Fault("published untold", PLOTS, "* any(line.published for line in drawn)", "* 0", DRAWINGS),
    Fault("ours by name", PLOTS, "for line in drawn if not line.published}", "for line in drawn}", DRAWINGS),
    Fault("point without band", PLOTS, "(line.published | ~(", "(line.published & ~(", DRAWINGS),
    Fault("infinite drawn", PLOTS, "np.isfinite(points).all(axis=1)", "~np.isnan(points).any(axis=1)", DRAWINGS),
    Fault(
        "gaps closed",
        PLOTS,
        "    there = np.isfinite(points)",
        POINTS_LEFT + "    there = np.isfinite(points)",
        DRAWINGS,
    ),
    Fault("long curves in dots", PLOTS, "MARKED = 40", "MARKED = 4000", DRAWINGS),
    Fault("band for all", PLOTS, ".reshape(len(points), 2), np.nan)", ".reshape(-1, 2), np.nan)", DRAWINGS),
    Fault("always together", PLOTS, "sharey=together", "sharey=True", DRAWINGS),
    Fault("never together", PLOTS, "sharey=together", "sharey=False", DRAWINGS),
    Fault("too wide", PLOTS, "WIDTH = 9.9", "WIDTH = 12.9", DRAWINGS),
    Fault("no chart no page", PLOTS, "columns = max(1, min(across, count))", "columns = min(across, count)", DRAWINGS),
    # bars
    Fault(
        "zero for nothing",
        PLOTS,
        "np.array(series.values, dtype=float)",
        "np.nan_to_num(np.array(series.values, dtype=float))",
        DRAWINGS,
    ),
    Fault(
        "one interval for two",
        PLOTS,
        "low[sure], high[sure], color=INK",
        "value[sure], high[sure], color=INK",
        DRAWINGS,
    ),
    Fault("behind each other", PLOTS, "0.8 * ((i + 0.5) / len(found) - 0.5)", "0.0 * i", DRAWINGS),
    Fault("no hatches", PLOTS, '"hatch": look.hatch', '"hatch": ""', DRAWINGS),
    Fault("names over names", PLOTS, "if crowded else {}", "if not texts else {}", DRAWINGS),
    Fault("always turned", PLOTS, "if crowded else {}", "if texts else {}", DRAWINGS),
    Fault("names at each panel", PLOTS, "sharex=across == 1", "sharex=False", DRAWINGS),
    Fault("publishes nothing", PLOTS, "np.nan if mark is None else mark for", "np.nan for", DRAWINGS),
    # the page
    Fault("cut off on a phone", DOCUMENTS, '"long": len(section.charts) > 1', '"long": False', DRAWINGS),
    Fault("all reproduced", DOCUMENTS, 'NOT_REPRODUCED: "fail"', 'NOT_REPRODUCED: "pass"', DRAWINGS),
]
