"""Faults in Auto-PGD and in the ensemble: attacks that are weaker than their names."""

from __future__ import annotations

from fault import Fault

APGD, ENSEMBLE = (f"tests/oracles/test_{name}.py" for name in ("apgd", "ensemble"))

FAULTS = [
    # Auto-PGD
    Fault("half the first step", "attacks/apgd.py", "2 * self.ball.eps", "self.ball.eps", APGD),
    Fault(
        "start within the ball", "attacks/apgd.py", "delta = delta * per_image(", "delta = delta + 0 * per_image(", APGD
    ),
    Fault("less of the new step", "attacks/apgd.py", "FRESH = 0.75", "FRESH = 0.7", APGD),
    Fault("no momentum", "attacks/apgd.py", "(climb.x_adv - climb.before)", "torch.zeros_like(x)", APGD),
    Fault("first move weighed", "attacks/apgd.py", "FRESH if step > 1 else 1.0", "FRESH", APGD),
    Fault("later checkpoints", "attacks/apgd.py", "stretch - 3, 6", "stretch - 2, 6", APGD),
    Fault("checkpoints rounded down", "attacks/apgd.py", "-(-share * steps // 100)", "share * steps // 100", APGD),
    Fault("few rises are enough", "attacks/apgd.py", "(climb.rises < enough) |", "(climb.rises < 0) |", APGD),
    Fault(
        "stuck and content",
        "attacks/apgd.py",
        "(~climb.halved & (climb.top_loss <= climb.checked))",
        "climb.broken",
        APGD,
    ),
    Fault("halved twice", "attacks/apgd.py", "halved=halved,", "halved=climb.halved,", APGD),
    Fault(
        "goes on from where it is", "attacks/apgd.py", "torch.where(again, climb.top, climb.x_adv)", "climb.x_adv", APGD
    ),
    Fault(
        "gradient of another point",
        "attacks/apgd.py",
        "torch.where(again, climb.top_gradient, climb.gradient)",
        "climb.gradient",
        APGD,
    ),
    Fault("rises never forgotten", "attacks/apgd.py", "torch.zeros_like(climb.rises)", "climb.rises", APGD),
    Fault("broken and moved on", "attacks/apgd.py", "back = halved & ~climb.broken", "back = halved", APGD),
    Fault("wrong at last only", "attacks/apgd.py", "broken=climb.broken | ", "broken=", APGD),
    Fault("the last point counts", "attacks/apgd.py", "higher = loss > climb.top_loss", "higher = loss == loss", APGD),
    Fault(
        "the last restart counts",
        "attacks/apgd.py",
        "climb.top_loss > height[images.place]",
        "climb.top_loss > -1e9",
        APGD,
    ),
    Fault("targets of others", "attacks/apgd.py", "target[images.place]", "target[: len(images.y)]", APGD),
    Fault("one target too few", "attacks/apgd.py", "min(self.targets, logits.shape[1] - 1) + 1", "self.targets", APGD),
    Fault("nothing is a number", "attacks/apgd.py", "gradient.nan_to_num(0.0)", "gradient", APGD),
    # the ensemble
    Fault("a constant loss", "attacks/ensemble.py", "classes > 3", "classes > 2", ENSEMBLE),
    Fault("targets that are not there", "attacks/ensemble.py", "min(9, classes - 1)", "9", ENSEMBLE),
    Fault("half the queries", "attacks/ensemble.py", "round(5000 *", "round(2500 *", ENSEMBLE),
    Fault(
        "all at once",
        "attacks/ensemble.py",
        "images = images.of(~broken)",
        "images = images.of(broken | ~broken)",
        ENSEMBLE,
    ),
    Fault("the last takes the credit", "attacks/ensemble.py", "= member", "= 4", ENSEMBLE),
    Fault(
        "what failed last", "attacks/ensemble.py", "broken | (margin > nearest[place])", "margin == margin", ENSEMBLE
    ),
    Fault("a window for others", "attacks/ensemble.py", "attack(images.model,", "attack(model,", ENSEMBLE),
    Fault("any ball", "attacks/ensemble.py", "isinstance(self.ball, Linf | L2)", "True", ENSEMBLE),
]
