"""Faults in attacks on explanations, and in what says how much of an attack is seen and whom it fools."""

from __future__ import annotations

from fault import Fault

FOOLED, SEEN = (f"tests/oracles/test_{name}.py" for name in ("explanation_attacks", "perceptibility"))

FAULTS = [
    # the slope
    Fault("never softened", "attacks/smoothing.py", "if func in _RELUS else func(", "if False else func(", FOOLED),
    Fault(
        "explainers softened, too",
        "attacks/smoothing.py",
        "        if self.running:\n",
        "        if self.running or func in _RELUS:\n",
        FOOLED,
    ),
    Fault(
        "result of a ReLU in place lost",
        "attacks/smoothing.py",
        "x.copy_(F.softplus(x.clone(), beta))",
        "F.softplus(x, beta)",
        FOOLED,
    ),
    Fault("images cut loose", "attacks/smoothing.py", "if func is Tensor.detach and", "if False and", FOOLED),
    Fault(
        "detach of the model ignored",
        "attacks/smoothing.py",
        "        self.running += 1",
        "        self.running += called[0] is None",
        FOOLED,
    ),
    Fault(
        "hooks left behind",
        "attacks/smoothing.py",
        "        for handle in handles:",
        "        for handle in handles[1:]:",
        FOOLED,
    ),
    Fault(
        "a map without a slope is taken",
        "attacks/smoothing.py",
        "    if not attribution.requires_grad:\n",
        "    if False:\n",
        FOOLED,
    ),
    Fault("still running after an error", "attacks/smoothing.py", "mode.leave, always_call=True", "mode.leave", FOOLED),
    # the search
    Fault(
        "lost class counts",
        "attacks/explanations.py",
        "aim(attribution, logits), torch.inf)",
        "aim(attribution, logits), aim(attribution, logits))",
        FOOLED,
    ),
    Fault(
        "no way back",
        "attacks/explanations.py",
        "aim(attribution, logits), back)",
        "aim(attribution, logits), 0 * back)",
        FOOLED,
    ),
    Fault("uphill", "attacks/explanations.py", "x_adv, -gradient.nan", "x_adv, gradient.nan", FOOLED),
    Fault(
        "last counts, not best",
        "attacks/explanations.py",
        "torch.where(per_image(better, x_adv), x_adv, best)",
        "x_adv",
        FOOLED,
    ),
    Fault(
        "the lowest is forgotten",
        "attacks/explanations.py",
        "torch.where(better, value, lowest)",
        "lowest",
        FOOLED,
    ),
    Fault(
        "another class is kept",
        "attacks/explanations.py",
        "    predicted = logits.argmax(1)\n    return Untouched(",
        "    predicted = logits.argmin(1)\n    return Untouched(",
        FOOLED,
    ),
    Fault(
        "mass of the batch",
        "attacks/explanations.py",
        "size.sum((1, 2), keepdim=True)",
        "size.sum().view(1, 1, 1)",
        FOOLED,
    ),
    Fault("lowest pixels", "attacks/explanations.py", "dim=1).indices", "dim=1, largest=False).indices", FOOLED),
    Fault("signed mass", "attacks/explanations.py", "size = attribution.abs()\n", "size = attribution\n", FOOLED),
    Fault("frame inside out", "attacks/target_map.py", "width - line] = 0", "width - line] = 2", FOOLED),
    Fault("logits do not count", "attacks/target_map.py", "+ self.class_weight * told", "+ 0 * told", FOOLED),
    Fault(
        "map before the break",
        "attacks/keeping.py",
        "torch.where(right(logits.argmax(1), y), 0.0, changed) - wrong",
        "changed - wrong",
        FOOLED,
    ),
    Fault("map does not count", "attacks/keeping.py", "0.0, changed) - wrong", "0.0, 0.0) - wrong", FOOLED),
    Fault("a slope of NaN is taken", "attacks/explanations.py", "if step == 0 and", "if False and", FOOLED),
    # what is seen of it
    Fault(
        "perturbed image below",
        "metrics/perceptibility.py",
        "for t in (x_adv - x, x))",
        "for t in (x_adv - x, x_adv))",
        SEEN,
    ),
    Fault("SSIM in float32", "metrics/perceptibility.py", "x, y = a.double(), b.double()", "x, y = a, b", SEEN),
    Fault("window of 9", "metrics/perceptibility.py", "WINDOW, SIGMA = 11, 1.5", "WINDOW, SIGMA = 9, 1.5", SEEN),
    Fault("even windows", "metrics/perceptibility.py", "size -= 1 - size % 2", "size -= 0", SEEN),
    Fault("LPIPS of pixels in [0, 1]", "metrics/perceptibility.py", "normalize=True", "normalize=False", SEEN),
    Fault(
        "LPIPS of a random network", "metrics/perceptibility.py", "    network.net.load_state_dict(", "    dict(", SEEN
    ),
    Fault(
        "attacked for nothing",
        "metrics/perceptibility.py",
        "        feature_network(self.weights)  #",
        "        #",
        SEEN,
    ),
    # whom it fools
    Fault(
        "wrong is fooled",
        "metrics/fooling.py",
        "verdicts.attacked(self.attack)) != verdicts.predicted",
        "verdicts.attacked(self.attack)) != verdicts.batch.y",
        SEEN,
    ),
    Fault("wrong ones count as stable", "metrics/fooling.py", "changed, torch.nan)", "changed, 0.0)", SEEN),
    Fault("ranks of equals in order", "metrics/fooling.py", "(first + last).double() / 2", "first.double()", SEEN),
    Fault("union", "metrics/fooling.py", "(first & second)", "(first | second)", SEEN),
    Fault(
        "maps of other sizes differ",
        "metrics/fooling.py",
        "t.abs() / t.abs().amax((1, 2), keepdim=True)",
        "t.abs() / t.abs().amax().view(1, 1, 1)",
        SEEN,
    ),
]
