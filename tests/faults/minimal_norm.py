"""Faults in the attacks that look for the smallest perturbation, and in the one that only asks."""

from __future__ import annotations

from fault import Fault

DEEPFOOL, FAB, SQUARE = (f"tests/oracles/test_{name}.py" for name in ("deepfool", "fab", "square"))

FAULTS = [
    # what they share
    Fault(
        "the first plane is the nearest",
        "attacks/boundary.py",
        "nearer = away < distance",
        "nearer = away > 1e9",
        DEEPFOOL,
    ),
    Fault(
        "the true class is a rival", "attacks/boundary.py", "y[:, None], -torch.inf", "y[:, None], torch.inf", DEEPFOOL
    ),
    Fault(
        "shrunk the wrong way",
        "attacks/boundary.py",
        "torch.where(broken, t, high)",
        "torch.where(broken, high, t)",
        DEEPFOOL,
    ),
    Fault(
        "a little short of the boundary",
        "attacks/boundary.py",
        "clamp_max(-1e-12) + 0.02)",
        "clamp_max(-1e-12) - 0.02)",
        DEEPFOOL,
    ),
    Fault("everything is brought back", "attacks/boundary.py", "<= ball.eps, x)", "<= -1, x)", DEEPFOOL),
    Fault("one norm for all", "attacks/boundary.py", "(slope * ball.ascent(slope))", "(slope * slope)", DEEPFOOL),
    Fault(
        "no limit, one point",
        "attacks/balls.py",
        "self.eps / self._norms(delta)).clamp_max(1)",
        "min(self.eps, 1e9) / self._norms(delta))",
        DEEPFOOL,
    ),
    # DeepFool
    Fault(
        "overshoot forgotten",
        "attacks/deepfool.py",
        "reach[images.place] = (1 + self.overshoot) * sums\n                images",
        "reach[images.place] = sums\n                images",
        DEEPFOOL,
    ),
    Fault("one class too few", "attacks/deepfool.py", "self.classes - 1)", "self.classes - 2)", DEEPFOOL),
    Fault("never across where the range holds back", "attacks/deepfool.py", "HASTE = 1e-3", "HASTE = 0.0", DEEPFOOL),
    Fault(
        "goes on where broken",
        "attacks/deepfool.py",
        "torch.where(per_image(left, sums), sums + there, sums)",
        "sums + there",
        DEEPFOOL,
    ),
    # FAB
    Fault(
        "the range is ignored",
        "attacks/boxed.py",
        "room = torch.where(direction > 0, 1 - x, x)",
        "room = torch.ones_like(x)",
        FAB,
    ),
    Fault("the wrong end of the range", "attacks/boxed.py", "direction > 0, 1 - x, x", "direction > 0, x, 1 - x", FAB),
    Fault("slowest vessel first", "attacks/boxed.py", "limit.sort(dim=1)", "limit.sort(dim=1, descending=True)", FAB),
    Fault("fills too long", "attacks/boxed.py", "(full - rate * limit)", "(full - limit)", FAB),
    Fault(
        "the far plane is the near one",
        "attacks/fab.py",
        "plane.gap - (plane.slope",
        "plane.gap - 0 * (plane.slope",
        FAB,
    ),
    Fault("no draw towards the image", "attacks/fab.py", ".clamp_max(self.alpha_max)", ".clamp_max(0.0)", FAB),
    Fault("no overshoot", "attacks/fab.py", "x_adv + self.eta * near", "x_adv + near", FAB),
    Fault("no step back", "attacks/fab.py", "images.x + self.beta * (x_adv - images.x), x_adv)", "x_adv, x_adv)", FAB),
    Fault("any point will do", "attacks/fab.py", "nearer = norm < self.norm[place]", "nearer = norm < 1e9", FAB),
    Fault("nobody leaves", "attacks/fab.py", "if due(step, x_adv) and not left.all()", "if False", FAB),
    Fault("starts at the rim", "attacks/fab.py", ".clamp_max(self.ball.eps) / 2", ".clamp_max(self.ball.eps)", FAB),
    Fault(
        "restarts repeat themselves",
        "attacks/fab.py",
        "unit.sample(images.x, images.draws)",
        "unit.sample(images.x, images.draws[:])",
        FAB,
    ),
    Fault(
        "what failed comes back untouched",
        "attacks/fab.py",
        "torch.where(never, x_adv, nearest",
        "torch.where(never, nearest.x_adv[images.place], nearest",
        FAB,
    ),
    # Square
    Fault("halved too late", "attacks/square.py", "now > fall", "now > fall + 1", SQUARE),
    Fault("the schedule is ahead", "attacks/square.py", "share_at(query - 1,", "share_at(query,", SQUARE),
    Fault("the loss is followed downhill", "attacks/square.py", "reward > margin", "reward < margin", SQUARE),
    Fault("broken images go on", "attacks/square.py", "& ~broken\n", "\n", SQUARE),
    Fault(
        "restarts repeat themselves",
        "attacks/square.py",
        "images = self.searched(images, found, highest)",
        "self.searched(images.of(images.y >= 0), found, highest)",
        SQUARE,
    ),
    Fault(
        "the last restart counts",
        "attacks/square.py",
        "broken | (margin > highest[images.place])",
        "broken | True",
        SQUARE,
    ),
    Fault(
        "never the last row",
        "attacks/windows.py",
        "draws.integers(0, height - side + 1, 1)",
        "draws.integers(0, height - side, 1)",
        SQUARE,
    ),
    Fault(
        "one window for all",
        "attacks/windows.py",
        "rows - top, columns - left",
        "rows - top[:1], columns - left",
        SQUARE,
    ),
    Fault("idle windows", "attacks/windows.py", "turned & idle[:, None]", "turned & False", SQUARE),
    Fault(
        "stripes go across",
        "attacks/windows.py",
        "draws.signs(x.shape[1], 1, x.shape[3])",
        "draws.signs(x.shape[1], x.shape[2], 1)",
        SQUARE,
    ),
    Fault("spare mass unused", "attacks/windows.py", "keepdim=True) + spare", "keepdim=True) + 0 * spare", SQUARE),
    Fault("the old mass stays", "attacks/windows.py", "torch.where(there, 0, delta)", "delta", SQUARE),
    Fault(
        "bumps never lie",
        "attacks/windows.py",
        "torch.where(upright, picture, lying)",
        "torch.where(upright, picture, picture)",
        SQUARE,
    ),
]
