"""Plant faults one by one and see that the tests catch each: python tests/faults/planted.py [--only N] [--jobs N]

A test that fails without any fault proves nothing: such tests are found first, told, and left out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import closed_loop
import compositional
import conciseness
import consistency
import consistency_study
import corrupting
import drawing
import ensembles
import evaluating
import explainability
import faithfulness
import fooling
import hardening
import hierarchical_study
import hierarchies
import level_attacks
import localising
import maps
import minimal_norm
import refining
import relevance
import reviewing
import rivals
import robustness_study
import segmented
import sensitivity
import shifts
import showing
import studies
import surrogates
import surveying
import two_levels
from fault import Fault

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src") / "glasshouse"

PARTS = (
    *(closed_loop, surrogates, maps, relevance, showing, studies, drawing, refining),
    *(evaluating, ensembles, minimal_norm, corrupting, fooling, hardening),
    *(segmented,),
    *(hierarchies,),
    *(consistency, consistency_study),
    *(rivals, compositional),
    *(localising,),
    *(reviewing,),
    *(explainability,),
    *(two_levels,),
    *(shifts,),
    *(hierarchical_study,),
    *(level_attacks,),
    *(surveying,),
    *(sensitivity,),
    *(conciseness,),
    *(faithfulness,),
    *(robustness_study,),
)
FAULTS = [f for part in PARTS for f in part.FAULTS]


@contextmanager
def planted(*faults: Fault) -> Iterator[Path]:
    """A copy of the project, with faults."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / "pyproject.toml", root)
        for fault in faults:
            file = root / PACKAGE / fault.file
            file.write_text(file.read_text().replace(fault.original, fault.faulty, 1))
        yield root


def checked(root: Path, *targets: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The tests of a copy, on that copy."""
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *targets, *options]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def failing(target: str) -> list[str]:
    """The tests of a file that fail without any fault."""
    with planted() as root:
        # A name may hold spaces, and what went wrong follows after a dash.
        return re.findall(
            r"^FAILED (\S+::\w+(?:\[.*?\])?)(?: - .*)?$", checked(root, target, options=("-rf",)).stdout, re.MULTILINE
        )


def caught(fault: Fault, known: list[str]) -> bool:
    """Whether a test that passes without the fault fails with it."""
    with planted(fault) as root:
        return checked(root, fault.test, options=("-x", *(f"--deselect={name}" for name in known))).returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, help="the number of a single fault")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    numbers = range(len(FAULTS)) if chosen.only is None else [chosen.only]
    targets = sorted({FAULTS[n].test for n in numbers})
    with ThreadPoolExecutor(chosen.jobs) as pool:
        known = dict(zip(targets, pool.map(failing, targets), strict=True))
        for target, names in known.items():
            print(f"{target}: {len(names)} fail without any fault and are left out", flush=True)
        survived = 0
        results = pool.map(lambda n: caught(FAULTS[n], known[FAULTS[n].test]), numbers)
        for n, killed in zip(numbers, results, strict=True):
            survived += not killed
            print("KILLED  " if killed else "SURVIVED", f"{n:3}", FAULTS[n].file, "|", FAULTS[n].name, flush=True)
    print(f"{len(numbers) - survived} of {len(numbers)} killed")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
