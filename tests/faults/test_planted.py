"""The planted faults still fit the code, and some of them are planted here and now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fault import ARCHITECTURE, SPEC, STATISTICS, Fault
from planted import FAULTS, PACKAGE, ROOT, caught, checked, planted

NOW = {
    "8/255 is 0": f"{SPEC}::test_literals_arithmetic_and_names_are_read",
    "p of zero": f"{STATISTICS}::test_the_smallest_p_is_one_in_ten_thousand_and_never_zero",
    "upwards": f"{ARCHITECTURE}::test_imports_go_downwards_only",
    "not monotone": f"{STATISTICS}::test_holm_is_the_worked_example",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file}-{fault.name}")
def test_a_fault_fits_in_exactly_one_place(fault: Fault) -> None:
    text = (ROOT / PACKAGE / fault.file).read_text()
    assert text.count(fault.original) == 1
    assert fault.faulty != fault.original and (ROOT / fault.test).is_file()
    compile(text.replace(fault.original, fault.faulty), fault.file, "exec")


def test_there_are_faults_for_every_stage() -> None:
    stages = {fault.file.split("/")[0].removesuffix(".py") for fault in FAULTS}
    expected = {"spec", "modes", "explainers", "attacks", "objectives", "detectors", "statistics", "train", "store"}
    assert (
        expected | {"run", "refine", "measure", "checks", "corruptions", "metrics", "registry"} <= stages
        and len(FAULTS) >= 40
    )


def test_faults_are_caught_and_their_absence_is_not() -> None:
    chosen = [fault._replace(test=NOW[fault.name]) for fault in FAULTS if fault.name in NOW]
    assert len(chosen) == len(NOW)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda fault: caught(fault, []), chosen)) == [True] * len(chosen)
    with planted() as root:
        assert checked(root, *(target for name, target in NOW.items() if name != "8/255 is 0")).returncode == 0
