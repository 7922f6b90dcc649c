"""Faults in layer-wise relevance propagation."""

from __future__ import annotations

from fault import CONTRACT, Fault

RELEVANCE = "tests/oracles/test_relevance.py"

FAULTS = [
    Fault(
        "sign of 0",
        "explainers/lrp/rules.py",
        "torch.where(z < 0, z - stabiliser",
        "torch.where(z <= 0, z - stabiliser",
        RELEVANCE,
    ),
    Fault(
        "bias is ignored",
        "explainers/lrp/rules.py",
        "bias = layer.offset() if absorb else None",
        "bias = None",
        RELEVANCE,
    ),
    Fault(
        "negative inputs are dropped",
        "explainers/lrp/rules.py",
        "return [both_above, (layer.a.clamp(max=0), below(layer.weight))]",
        "return [both_above]",
        RELEVANCE,
    ),
    Fault(
        "low for high",
        "explainers/lrp/rules.py",
        "(layer.a - high, below(layer.weight))",
        "(layer.a - low, below(layer.weight))",
        RELEVANCE,
    ),
    Fault(
        "beta is added",
        "explainers/lrp/rules.py",
        "speaks_for - self.beta * against",
        "speaks_for + self.beta * against",
        RELEVANCE,
    ),
    Fault(
        "gamma favours the positive only",
        "explainers/lrp/rules.py",
        "favoured = torch.where(layer.z > 0, positive, z - positive)",
        "favoured = positive",
        RELEVANCE,
    ),
    Fault(
        "flat counts the padding",
        "explainers/lrp/rules.py",
        "inputs = layer.forward(torch.ones_like(layer.a[:1]), ones)",
        "inputs = layer.forward(torch.ones_like(layer.a[:1]), ones).amax()[None]",
        RELEVANCE,
    ),
    Fault("groups are forgotten", "explainers/lrp/layer.py", "still, geometry.groups,", "still, 1,", RELEVANCE),
    Fault(
        "a BatchNorm without its mean", "explainers/lrp/weighted.py", "bias - running_mean * scale)", "bias)", RELEVANCE
    ),
    Fault(
        "folded weights stay as they were",
        "explainers/lrp/weighted.py",
        "weight = layer.weight * following.scale.view",
        "weight = layer.weight * torch.ones_like(following.scale).view",
        RELEVANCE,
    ),
    Fault("folds what others read", "explainers/lrp/plan.py", "readers[before] == 1 and", "True and", RELEVANCE),
    Fault(
        "any training BatchNorm",
        "explainers/lrp/weighted.py",
        "if training or running_mean is None",
        "if running_mean is None",
        RELEVANCE,
    ),
    Fault(
        "one branch forgets the other",
        "explainers/lrp/plan.py",
        "relevance[parent] + share if parent in relevance else share",
        "share",
        RELEVANCE,
    ),
    Fault(
        "what is overwritten is not kept",
        "explainers/lrp/tape.py",
        "entry.value = entry.value.clone()",
        "pass",
        RELEVANCE,
    ),
    Fault(
        "writes into views go unseen",
        "explainers/lrp/tape.py",
        "if entry.value._version != entry.version:",
        "if False:",
        RELEVANCE,
    ),
    Fault(
        "a reciprocal is affine",
        "explainers/lrp/operations.py",
        "_DIVIDES or isinstance(entry.args[0], Ref)",
        "_DIVIDES or True",
        RELEVANCE,
    ),
    Fault(
        "uncovered and run",
        "explainers/lrp/audit.py",
        "        if not operation.covered:",
        "        if False:",
        RELEVANCE,
    ),
    Fault(
        "the sum is not stabilised in its sign",
        "explainers/lrp/operations.py",
        "s = relevance / stabilised(entry.value, stabiliser)[:, None]",
        "s = relevance / (entry.value.abs() + stabiliser)[:, None]",
        RELEVANCE,
    ),
    Fault(
        "no graph through what is moved",
        "explainers/lrp/operations.py",
        "create_graph=s.requires_grad",
        "create_graph=False",
        RELEVANCE,
    ),
    Fault(
        "bounds are not turned round",
        "explainers/lrp/plan.py",
        "torch.minimum(black, white), torch.maximum(black, white)",
        "black, white",
        RELEVANCE,
    ),
    Fault(
        "hooks stay",
        "explainers/lrp/tape.py",
        "stack.callback(module.register_forward_hook(leaving, always_call=True).remove)",
        "module.register_forward_hook(leaving, always_call=True)",
        CONTRACT,
    ),
    Fault(
        "all targets get the first",
        "explainers/lrp/starts.py",
        "targets[:, :, None], values",
        "targets[:, :1, None].expand_as(targets[:, :, None]), values",
        RELEVANCE,
    ),
    Fault(
        "last is ignored", "explainers/lrp/composites.py", "if last and self.last is not None:", "if False:", RELEVANCE
    ),
    Fault(
        "loses in silence",
        "explainers/lrp/lrp.py",
        "if abs(worst) > WORRYING or worst != worst:",
        "if worst != worst:",
        RELEVANCE,
    ),
    Fault(
        "cries wolf",
        "explainers/lrp/lrp.py",
        "WORRYING = 0.9",
        "WORRYING = 0.0",
        RELEVANCE,
    ),
]
