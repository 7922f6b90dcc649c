"""Faults in LIME, FastLIME, KernelSHAP and E-LIME."""

from __future__ import annotations

from fault import Fault

FAMILY, SHAPLEY, EVOLVED, NETWORKS = (
    f"tests/oracles/test_{name}.py"
    for name in ("lime_family", "shapley_values", "evolved_lime", "superpixels_on_networks")
)
PEERS = "tests/reference/test_peers_lime.py"

FAULTS: list[Fault] = [
    # LIME
    Fault("half the distance", "explainers/lime.py", "(-(distance**2) / width**2)", "(-(distance**2) / 2)", PEERS),
    Fault(
        "error without weights",
        "explainers/lime.py",
        "operator.square() @ residual.square()",
        "operator.square() @ residual.abs()",
        FAMILY,
    ),
    Fault(
        "mean unweighted",
        "explainers/lime.py",
        "mean = (w[:, :, None] * z).sum(1) / w.sum(1)[:, None]",
        "mean = z.mean(1)",
        PEERS,
    ),
    # maskings and what the model says of them
    Fault(
        "first column too",
        "explainers/designs.py",
        "column = 1 + torch.randperm(order - 1,",
        "column = torch.randperm(order,",
        FAMILY,
    ),
    Fault(
        "no opposites",
        "explainers/designs.py",
        "torch.stack([signs, -signs], 1)",
        "torch.stack([signs, signs], 1)",
        FAMILY,
    ),
    Fault(
        "order by the largest",
        "explainers/designs.py",
        "torch.maximum(count + 1, torch.full_like(count, half))",
        "torch.full_like(count, max(size + 1, half))",
        FAMILY,
    ),
    Fault(
        "rows not drawn",
        "explainers/designs.py",
        "torch.randperm(order, generator=generator)[:rows]",
        "torch.arange(rows)",
        FAMILY,
    ),
    Fault(
        "superpixels that are none",
        "explainers/designs.py",
        "return on * exists[:, None]",
        "return on + 0 * exists[:, None]",
        FAMILY,
    ),
    Fault("images in turn", "explainers/masked.py", "repeat_interleave(on.shape[1])", "repeat(on.shape[1])", FAMILY),
    Fault(
        "probabilities are welcome",
        "explainers/masked.py",
        "(logits.detach().sum(1) - 1).abs() < 1e-4",
        "(logits.detach().sum(1) - 1).abs() < 0",
        FAMILY,
    ),
    Fault("any number of targets", "explainers/masked.py", "if target.shape != x.shape[:1]:", "if False:", FAMILY),
    Fault(
        "one superpixel will do", "explainers/masked.py", "if int(count.min()) < 2:", "if int(count.min()) < 1:", FAMILY
    ),
    Fault("steps have slopes", "explainers/masked.py", "if slopes.shape[1] and bool(", "if False and bool(", FAMILY),
    Fault("unused is a traceback", "explainers/masked.py", "allow_unused=True)[0]", "allow_unused=False)[0]", FAMILY),
    Fault(
        "slopes without a graph",
        "explainers/masked.py",
        "create_graph=create_graph, allow_unused",
        "create_graph=False, allow_unused",
        FAMILY,
    ),
    # the regression under FastLIME
    Fault(
        "every superpixel counts",
        "explainers/kriging.py",
        "(slopes.var(1).sum(1, keepdim=True) / exist)",
        "slopes.var(1).mean(1, keepdim=True)",
        FAMILY,
    ),
    Fault(
        "corners touch, sides do not",
        "explainers/kriging.py",
        "(segments[:, :, 1:], segments[:, :, :-1])",
        "(segments[:, 1:, 1:], segments[:, :-1, :-1])",
        FAMILY,
    ),
    Fault("touches itself", "explainers/kriging.py", "    adjacent[:, :: size + 1] = False\n", "", FAMILY),
    Fault(
        "padding is a pair",
        "explainers/kriging.py",
        "scale.gather(1, pairs[:, :, 1]) * real",
        "scale.gather(1, pairs[:, :, 1])",
        FAMILY,
    ),
    Fault(
        "sums of pairs",
        "explainers/kriging.py",
        "return signs.gather(2, first) * signs.gather(2, second)",
        "return signs.gather(2, first) + signs.gather(2, second)",
        FAMILY,
    ),
    Fault(
        "what changes most matters least",
        "explainers/kriging.py",
        "changed / typical.clamp_min(1e-12)",
        "typical / changed.clamp_min(1e-12)",
        FAMILY,
    ),
    Fault("left out and left in", "explainers/kriging.py", "(solved.square() / precision)", "solved.square()", FAMILY),
    Fault("as sure as before", "explainers/kriging.py", "(before - left.transpose(1, 2) @ left)", "before", FAMILY),
    Fault("no ceiling", "explainers/kriging.py", ".clamp(-CEILING, CEILING)", "", FAMILY),
    Fault(
        "not damped",
        "explainers/kriging.py",
        "(1 + torch.pi / 8 * posterior.unexplained[:, None]).sqrt()",
        "torch.ones(1, 1)",
        FAMILY,
    ),
    Fault(
        "error of the log-odds",
        "explainers/kriging.py",
        "(operator * (probability * (1 - probability) / damping)[:, None]) @ rows",
        "operator @ rows",
        FAMILY,
    ),
    # FastLIME
    Fault("gradients of a switch", "explainers/fast_lime.py", "slopes / 2)", "slopes)", FAMILY),
    Fault(
        "backwards for nothing",
        "explainers/fast_lime.py",
        "+ 2 * self.slopes.shape[1]",
        "+ self.slopes.shape[1]",
        FAMILY,
    ),
    Fault(
        "always settled",
        "explainers/fast_lime.py",
        "(strongest == top).all(1)",
        "(strongest == strongest).all(1)",
        FAMILY,
    ),
    Fault(
        "never settled", "explainers/fast_lime.py", "done = same | last", "done = torch.full_like(same, last)", FAMILY
    ),
    Fault(
        "all stop together",
        "explainers/fast_lime.py",
        "done = same | last",
        "done = (same | last).all().expand_as(same)",
        FAMILY,
    ),
    Fault(
        "in order of settling",
        "explainers/fast_lime.py",
        "[f.images for f in finished]).argsort()",
        "[f.images for f in finished]) * 0",
        FAMILY,
    ),
    Fault(
        "opposites parted", "explainers/fast_lime.py", "2 * (total * k // (2 * number))", "total * k // number", FAMILY
    ),
    Fault(
        "ties anyhow",
        "explainers/fast_lime.py",
        "descending=True, stable=True)[:, :number].sort().values",
        "descending=True, stable=True)[:, :number]",
        FAMILY,
    ),
    # KernelSHAP
    Fault(
        "equal weights",
        "explainers/kernel_shap.py",
        "return every, kernel",
        "return every, (kernel > 0).double()",
        SHAPLEY,
    ),
    Fault(
        "nothing adds up",
        "explainers/kernel_shap.py",
        "operator @ v[:, :, None] + share * gap[:, None, None]",
        "operator @ v[:, :, None]",
        SHAPLEY,
    ),
    Fault("no complement", "explainers/kernel_shap.py", "existing(1 - on, count)], 2)", "on], 2)", SHAPLEY),
    Fault(
        "sizes as they come",
        "explainers/kernel_shap.py",
        "chance = 1 / (sizes * (count[:, None] - sizes)).clamp_min(1e-12)",
        "chance = torch.ones_like(sizes)",
        SHAPLEY,
    ),
    Fault(
        "exact is uncertain",
        "explainers/kernel_shap.py",
        "        error = error * ~whole(number, count)[:, None]\n",
        "",
        SHAPLEY,
    ),
    Fault(
        "coalitions for nothing",
        "explainers/kernel_shap.py",
        "min(self.samples - 2, 2**size - 2)",
        "self.samples - 2",
        SHAPLEY,
    ),
    Fault(
        "value of nothing forgotten",
        "explainers/kernel_shap.py",
        "(values - nothing[:, None]).double()",
        "values.double()",
        SHAPLEY,
    ),
    Fault(
        "small error",
        "explainers/kernel_shap.py",
        "operator.square() @ residual.square()",
        "operator.square() @ residual.pow(4)",
        SHAPLEY,
    ),
    # E-LIME
    Fault(
        "the least fit win",
        "explainers/evolved_lime.py",
        "winner = fitness[:, entrants].argmax(2)",
        "winner = fitness[:, entrants].argmin(2)",
        EVOLVED,
    ),
    Fault(
        "twins",
        "explainers/evolved_lime.py",
        "torch.where(exchange, first, second)], 2)",
        "torch.where(exchange, second, first)], 2)",
        EVOLVED,
    ),
    Fault(
        "no memory",
        "explainers/evolved_lime.py",
        "(~known & ~earlier.any(2)).nonzero",
        "(~earlier.any(2)).nonzero",
        EVOLVED,
    ),
    Fault(
        "no twins in memory",
        "explainers/evolved_lime.py",
        "(~known & ~earlier.any(2)).nonzero",
        "(~known).nonzero",
        EVOLVED,
    ),
    Fault(
        "memory of another",
        "explainers/evolved_lime.py",
        "match.int().argmax(2)), match.any(2)",
        "match.int().argmin(2)), match.any(2)",
        EVOLVED,
    ),
    Fault(
        "elites lost",
        "explainers/evolved_lime.py",
        "[chosen(strings, ranked[:, : self.elites]), children]",
        "[children, children]",
        EVOLVED,
    ),
    Fault(
        "one rate for all",
        "explainers/evolved_lime.py",
        "if self.mutation else 1 / count",
        "if self.mutation else 1 / count.amax().expand_as(count)",
        EVOLVED,
    ),
    Fault("no crossover", "explainers/evolved_lime.py", "& crossing[:, None]", "& ~crossing[:, None]", EVOLVED),
    Fault(
        "whole uninvited",
        "explainers/evolved_lime.py",
        "strings[:, :1] |= everything & self.whole",
        "strings[:, :1] |= everything",
        EVOLVED,
    ),
    Fault(
        "genes of none",
        "explainers/evolved_lime.py",
        "existing((children ^ flipped), count) > 0",
        "children ^ flipped",
        EVOLVED,
    ),
    Fault(
        "share of the batch",
        "explainers/evolved_lime.py",
        "self.selected / (self.segments.flatten(1).amax(1) + 1)",
        "self.selected / self.mask.shape[1]",
        EVOLVED,
    ),
    Fault(
        "last is not best",
        "explainers/evolved_lime.py",
        "best = fitness.argmax(1)",
        "best = fitness.argmin(1)",
        EVOLVED,
    ),
    Fault("no seed", "explainers/evolved_lime.py", "(self.seed * 100_003 + generation)", "generation", EVOLVED),
    Fault(
        "trainable selection",
        "explainers/evolved_lime.py",
        "        if create_graph:\n            raise",
        "        if False:\n            raise",
        EVOLVED,
    ),
    Fault(
        "explains as it is",
        "explainers/lime.py",
        "with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):",
        "with torch.set_grad_enabled(create_graph):",
        NETWORKS,
    ),
]
