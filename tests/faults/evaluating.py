"""Faults in verdicts, self-checks and what is told of them."""

from __future__ import annotations

from fault import Fault

VERDICTS, CHECKS = (f"tests/oracles/test_{name}.py" for name in ("verdicts", "checks"))
EVALUATE, ATTACK, RUN = (f"tests/stages/test_{name}.py" for name in ("evaluate", "attack", "run"))

FAULTS = [
    # numbers by image
    Fault(
        "one stream for all", "draws.py", "(words * weights).sum(1)", "(words * weights).sum().expand(len(x))", VERDICTS
    ),
    Fault(
        "some start anew",
        "draws.py",
        "return Draws(self.keys[chosen], self.drawn)",
        "return Draws(self.keys[chosen])",
        VERDICTS,
    ),
    Fault("sign comes in", "draws.py", "(z >> by).bitwise_and_((1 << (64 - by)) - 1)", "z >> by", VERDICTS),
    Fault("0 is drawn", "draws.py", ".float().add_(0.5)", ".float()", VERDICTS),
    Fault(
        "any seed is one", "draws.py", "torch.tensor(seed, device=x.device) + GOLDEN", "torch.tensor(GOLDEN)", VERDICTS
    ),
    # losses and targets
    Fault(
        "away from the target",
        "attacks/losses.py",
        "return -F.cross_entropy(logits, target",
        "return F.cross_entropy(logits, target",
        VERDICTS,
    ),
    Fault(
        "margin to itself",
        "attacks/losses.py",
        "classes[:, None], -torch.inf).amax(1)",
        "classes[:, None], 0.0).amax(1)",
        VERDICTS,
    ),
    Fault(
        "second and not third",
        "attacks/losses.py",
        "(top[:, 0] - top[:, 2:].mean(1))",
        "(top[:, 0] - top[:, 1:].mean(1))",
        VERDICTS,
    ),
    Fault(
        "best is second", "attacks/losses.py", "self.rank - 1 if self.rank > 0", "self.rank if self.rank > 0", VERDICTS
    ),
    # who leaves
    Fault(
        "moves on",
        "attacks/pgd.py",
        "moved if found is None else torch.where(per_image(reached, moved), x_adv, moved)",
        "moved",
        VERDICTS,
    ),
    Fault("leaves too late", "attacks/pgd.py", "left = ~reached\n", "left = ~reached & False\n", VERDICTS),
    Fault("nobody leaves", "attacks/pgd.py", "if due(step, x_adv) and reached.any():", "if False:", VERDICTS),
    Fault(
        "at another's place",
        "attacks/pgd.py",
        "found[images.place[reached]] = x_adv[reached]",
        "found[: int(reached.sum())] = x_adv[reached]",
        VERDICTS,
    ),
    Fault(
        "last restart counts",
        "attacks/pgd.py",
        "x_adv = torch.where(per_image(better, again), again, x_adv)",
        "x_adv = again",
        VERDICTS,
    ),
    Fault(
        "no momentum",
        "attacks/pgd.py",
        "self.momentum * velocity + even(gradient) if self.momentum",
        "even(gradient) if self.momentum",
        VERDICTS,
    ),
    Fault(
        "uneven momentum", "attacks/pgd.py", "return gradient / per_image(mean, gradient)", "return gradient", VERDICTS
    ),
    Fault(
        "all go again",
        "attacks/pgd.py",
        "images = images.of(~images.reached(images.model(found[images.place])))",
        "images = images.of(images.y >= 0)",
        VERDICTS,
    ),
    Fault(
        "another's window",
        "attacks/standing.py",
        "self.x[chosen], self.region[chosen]",
        "self.x[chosen], self.region[: len(self.x[chosen])]",
        VERDICTS,
    ),
    Fault(
        "another's draws",
        "attacks/standing.py",
        "self.place[chosen], self.draws[chosen]",
        "self.place[chosen], self.draws[torch.arange(len(self.y[chosen]))]",
        VERDICTS,
    ),
    # what is known already
    Fault("larger counts for smaller", "metrics/verdicts.py", "if k[0] <= eps)", "if True)", VERDICTS),
    Fault(
        "all attacked anew",
        "metrics/verdicts.py",
        "weaker = max((k for k in known if k[0] <= eps), key=lambda k: k[0], default=None)",
        "weaker = None",
        VERDICTS,
    ),
    Fault(
        "one family", "metrics/verdicts.py", "(with_eps(attack, 0.0), ball.eps)", "(type(attack), ball.eps)", VERDICTS
    ),
    Fault("kept as it was", "metrics/verdicts.py", "x_adv[where] = moved", "pass", VERDICTS),
    Fault("strongest first", "measure.py", "key=eps_of)", "key=lambda m: -eps_of(m))", VERDICTS),
    # checks of a model
    Fault(
        "any answer",
        "checks/model.py",
        '        changed <= 1e-3,\n        "the same',
        '        True,\n        "the same',
        CHECKS,
    ),
    Fault(
        "alone in a batch",
        "checks/model.py",
        "model(few[i : i + 1]) for i in range(len(few))",
        "model(few)[i : i + 1] for i in range(len(few))",
        CHECKS,
    ),
    Fault("large nudge", "checks/model.py", "SMALL = 1e-6", "SMALL = 1e-2", CHECKS),
    Fault(
        "gradient of logits",
        "checks/model.py",
        "losses(model(point), y).sum()",
        "model(point).sum()",
        CHECKS,
    ),
    Fault("sinks unseen", "checks/model.py", "fell + sagged * len(x)", "0", CHECKS),
    Fault("bounded after all", "checks/model.py", "PGD(Linf(1.0), steps=60", "PGD(Linf(0.0), steps=60", CHECKS),
    Fault("restarts for show", "checks/model.py", "replace(once, restarts=5)", "once", CHECKS),
    Fault(
        "search is blind",
        "checks/model.py",
        "int((~correct(model, Square(ball=ball, queries=queries)(model, left, label), label)).sum())",
        "0",
        CHECKS,
    ),
    Fault("every gradient will do", "checks/model.py", "return logits.requires_grad and", "return True or", CHECKS),
    # checks of attacks and images
    Fault(
        "any ball",
        "checks/attack.py",
        "inside = ball is None or worst <= ball.eps * (1 + 1e-4) + 1e-6",
        "inside = True",
        CHECKS,
    ),
    Fault("help is harm", "checks/attack.py", "        after <= before + 1,", "        True,", CHECKS),
    Fault("less with more", "checks/attack.py", "max(max(a - b for a, b in pairwise(broken)), 0)", "0", CHECKS),
    Fault(
        "right from wrong",
        "checks/attack.py",
        "risen = int(((right > clean) & right.isfinite()).sum())",
        "risen = 0",
        CHECKS,
    ),
    Fault(
        "outdone", "checks/attack.py", "missed = int(((right > other) & right.isfinite()).sum())", "missed = 0", CHECKS
    ),
    Fault("no leak", "checks/data.py", "int(torch.isin(keys(asked, progress), trained).sum())", "0", CHECKS),
    Fault("any scale", "checks/data.py", "low >= 0 and high <= 1 and high > 0.02", "True", CHECKS),
    Fault(
        "checks in training mode",
        "checks/everything.py",
        "with frozen(model), seeded_globally(seed, 0):",
        "with seeded_globally(seed, 0):",
        CHECKS,
    ),
    Fault(
        "checks of any seed",
        "checks/everything.py",
        "with frozen(model), seeded_globally(seed, 0):",
        "with frozen(model):",
        CHECKS,
    ),
    Fault(
        "all is well",
        "checks/check.py",
        "return max((check.status for check in checks), key=order.index, default=PASS)",
        "return PASS",
        CHECKS,
    ),
    # what is told
    Fault(
        "only the last is told",
        "evaluate.py",
        "self.deltas.setdefault(repr(Accuracy(attack=attack)), []).append(delta.cpu())",
        "self.deltas[repr(Accuracy(attack=attack))] = [delta.cpu()]",
        EVALUATE,
    ),
    Fault(
        "clean under corruption",
        "evaluate.py",
        "self.over(CorruptedSamples(self.samples, corruption), metrics",
        "self.over(self.samples, metrics",
        EVALUATE,
    ),
    Fault(
        "strongest example",
        "evaluate.py",
        "sorted(attacks, key=lambda attack: family_of(attack)[1])",
        "sorted(attacks, key=lambda attack: -family_of(attack)[1])",
        EVALUATE,
    ),
    Fault(
        "failures are hushed", "report/evaluation.py", 'return worst(self.checks) != "fail"', "return True", EVALUATE
    ),
    Fault("reference of nothing", "report/evaluation.py", "    if not rows:\n", "    if False:\n", EVALUATE),
    Fault(
        "writes into what is there",
        "report/evaluation.py",
        "out = vacant(Path(folder))",
        "out = Path(folder)",
        EVALUATE,
    ),
    Fault(
        "wrong counts as broken",
        "report/attacked.py",
        "return self.right & (self.predicted_adv != self.predicted)",
        "return self.predicted_adv != self.predicted",
        ATTACK,
    ),
    Fault(
        "files that never fail",
        "attack.py",
        "for seen in (x_adv, (x_adv * 255).round() / 255)",
        "for seen in (x_adv, x_adv)",
        ATTACK,
    ),
    Fault(
        "against no class",
        "attack.py",
        "against = torch.where(truth >= 0, truth, before.argmax(1))",
        "against = truth.clamp_min(0)",
        ATTACK,
    ),
    Fault("formula from a name", "report/attacked.py", "found.titles[i],\n", "found.titles[0],\n", ATTACK),
    Fault(
        "checks again",
        "run.py",
        '            if found is None:\n                with self.timed(f"check',
        '            if True:\n                with self.timed(f"check',
        RUN,
    ),
    Fault("no time was spent", "run.py", 'work.outcome.seconds |= noted(out / "timing.json")', "pass", RUN),
]
