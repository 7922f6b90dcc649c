"""How strong the attacks are, next to their peers on the same images: what counts is who is broken, not the time.

python benchmarks/attack_strength.py [--images 500] [--small 100]    hours on two cores; --images 60 in about 15 minutes

The standard ensemble against pyautoattack's (``--images``) and torchattacks' (``--small``), each of its members, and
DeepFool's norms against foolbox's. ``ensemble_gap_points`` is our robust accuracy minus the lower of the peers' on
the same images, at its worst.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
from importlib import import_module
from importlib.metadata import version

import torch
from networks import images, parts, right, robust, standard
from pictures import folder
from rich.console import Console
from rich.table import Table
from timing import last_line, setup
from torch import Tensor, nn

from glasshouse.attacks import APGD, DLR, L2, DeepFool, Linf, StandardEnsemble
from glasshouse.modes import frozen
from glasshouse.types import Attack, Batch

SIZE = 100


def by_us(model: nn.Module, batch: Batch, attack: Attack) -> Tensor:
    """Who is right still."""
    torch.manual_seed(0)
    return right(model, torch.cat([attack(model, x, y) for x, y in parts(batch, SIZE)]), batch.y)


def by_pyautoattack(model: nn.Module, batch: Batch, eps: float, norm: str, only: tuple[str, ...] = ()) -> Tensor:
    """Who is right still after AutoAttack, or one of its members, in its own implementation."""
    more = {"version": "custom", "attacks": list(only)} if only else {"version": "standard"}
    attack = import_module("pyautoattack").AutoAttack(model, device="cpu", eps=eps, norm=norm, seed=0, **more)
    with contextlib.redirect_stdout(io.StringIO()):
        found = attack.run_standard_evaluation(batch.x, batch.y, batch_size=SIZE)
    return right(model, found if isinstance(found, Tensor) else found[0], batch.y)


def by_torchattacks(model: nn.Module, batch: Batch, eps: float, norm: str) -> Tensor:
    """Who is right still after AutoAttack as torchattacks has it."""
    attack = import_module("torchattacks").AutoAttack(model, norm=norm, eps=eps, seed=0)
    return right(model, torch.cat([attack(x, y) for x, y in parts(batch, SIZE)]), batch.y)


def apgd_rows(model: nn.Module, batch: Batch, eps: float) -> dict[str, tuple[float, float]]:
    """Robust accuracy under Auto-PGD, ours and pyautoattack's: ``{name: (ours, theirs)}``."""
    members = {
        "apgd-ce": APGD(Linf(eps)),
        "apgd-dlr": APGD(Linf(eps), loss=DLR()),
        "apgd-t": APGD(Linf(eps), loss=DLR(), targets=9),
    }
    rows = {}
    for name, attack in members.items():
        theirs = by_pyautoattack(model, batch, eps, "Linf", (name,))
        rows[name] = (share(by_us(model, batch, attack)), share(theirs))
    return rows


def deepfool(model: nn.Module, batch: Batch, norm: str) -> tuple[float, float, float]:
    """Mean norm over the images that all turn: ours as it comes, ours as in the paper, foolbox's."""
    foolbox = import_module("foolbox")
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.L2DeepFoolAttack() if norm == "L2" else foolbox.attacks.LinfDeepFoolAttack()
    ball = L2(eps=math.inf) if norm == "L2" else Linf(eps=math.inf)
    points = [DeepFool(ball=ball)(model, batch.x, batch.y), DeepFool(ball=ball, refine=0)(model, batch.x, batch.y)]
    points.append(theirs(wrapped, batch.x, batch.y, epsilons=None)[0])
    turned = right(model, batch.x, batch.y)
    for x_adv in points:
        turned &= ~right(model, x_adv, batch.y)
    return tuple(float(ball.norm(x_adv - batch.x)[turned].mean()) for x_adv in points)  # type: ignore[return-value]


def share(still: Tensor) -> float:
    """Per cent."""
    return 100 * float(still.float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500, help="for the ensembles on the robust network")
    parser.add_argument("--small", type=int, default=100, help="for all else")
    parser.add_argument("--data", default="", help="folder with cifar10 and weights")
    chosen = parser.parse_args()
    root = folder(chosen.data)
    if root is None:
        print("no data: give --data FOLDER with cifar10/ and weights/")
        return
    many, few = images(root, chosen.images), images(root, chosen.small)
    console, gaps, members, norms = Console(), [], [], []
    settings = [("robust", robust(root), 8 / 255, many), ("standard", standard(root), 1 / 255, few)]
    for name, model, eps, many in settings:
        with frozen(model):
            table = Table(
                "robust accuracy", "images", "glasshouse", "peer", title=f"{name} ResNet-20, {255 * eps:g}/255"
            )
            own = by_us(model, many, StandardEnsemble(ball=Linf(eps)))
            theirs = by_pyautoattack(model, many, eps, "Linf")
            gaps.append(share(own) - share(theirs))
            table.add_row("ensemble, pyautoattack", str(len(own)), f"{share(own):.1f} %", f"{share(theirs):.1f} %")
            own = by_us(model, few, StandardEnsemble(ball=Linf(eps)))
            theirs = by_torchattacks(model, few, eps, "Linf")
            gaps.append(share(own) - share(theirs))
            table.add_row("ensemble, torchattacks", str(len(own)), f"{share(own):.1f} %", f"{share(theirs):.1f} %")
            for member, (a, b) in apgd_rows(model, few, eps).items():
                table.add_row(f"{member}, pyautoattack", str(len(few.y)), f"{a:.1f} %", f"{b:.1f} %")
                members.append(a - b)
            for norm in ("L2", "Linf"):
                ours, plain, foolbox_norm = deepfool(model, few, norm)
                told = f"{ours:.4f} (plain {plain:.4f})"
                table.add_row(f"DeepFool {norm}, foolbox: mean norm", str(len(few.y)), told, f"{foolbox_norm:.4f}")
                norms.append((norm, ours / foolbox_norm, plain / foolbox_norm))
        console.print(table)
    figures = {
        "ensemble_gap_points": max(gaps),
        "apgd_gap_points": max(members),
        "deepfool_norm_ratio": max(ratio for norm, ratio, _ in norms if norm == "L2"),
        "deepfool_plain_norm_ratio": max(ratio for norm, _, ratio in norms if norm == "L2"),
        "deepfool_linf_norm_ratio": max(ratio for norm, ratio, _ in norms if norm == "Linf"),
    }
    versions = {peer: version(peer) for peer in ("pyautoattack", "torchattacks", "foolbox")}
    last_line(figures, setup(**versions, **vars(chosen)))


if __name__ == "__main__":
    main()
