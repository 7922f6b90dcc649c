"""A fault, and the tests that should notice one."""

from __future__ import annotations

from typing import NamedTuple

CONTRACT = "tests/contract/test_components.py"
ARCHITECTURE = "tests/architecture/test_architecture.py"
ATTACKS, EXPLANATIONS, OBJECTIVES, DETECTION, STATISTICS = (
    f"tests/oracles/test_{name}.py" for name in ("attacks", "explanations", "objectives", "detection", "statistics")
)
SPEC, TRAINING, RUN = (f"tests/stages/test_{name}.py" for name in ("spec", "training", "run"))


class Fault(NamedTuple):
    """What is wrong, in which file of the package, what stood there, what stands there, and who should notice."""

    name: str
    file: str
    original: str
    faulty: str
    test: str
