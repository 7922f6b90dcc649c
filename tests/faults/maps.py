"""Faults in gradients, class activation maps and perturbations."""

from __future__ import annotations

from fault import Fault

GRADIENTS, CAMS, PERTURBATIONS = (f"tests/oracles/test_{name}.py" for name in ("gradients", "cams", "perturbations"))

FAULTS: list[Fault] = [
    Fault("any class", "explainers/targets.py", "(target < 0) | (target >= classes)", "target < 0", GRADIENTS),
    Fault(
        "always the logit",
        "explainers/targets.py",
        "scores = logits.softmax(1) if probability else logits",
        "scores = logits",
        GRADIENTS,
    ),
    # gradients
    Fault(
        "equal weights",
        "explainers/integrated_gradients.py",
        "torch.tensordot(weights[group], gradient",
        "torch.tensordot(weights[group] * 0 + 1 / steps, gradient",
        GRADIENTS,
    ),
    Fault(
        "no distance",
        "explainers/integrated_gradients.py",
        "rows.append(away * total)",
        "rows.append(total)",
        GRADIENTS,
    ),
    Fault(
        "path from black",
        "explainers/integrated_gradients.py",
        "path = start + places",
        "path = 0 * start + places",
        GRADIENTS,
    ),
    Fault(
        "partial gradient",
        "explainers/integrated_gradients.py",
        "rows.append(away * total)",
        "rows.append(away * (total + total.detach()) / 2)",
        GRADIENTS,
    ),
    Fault(
        "noise of the brightest image",
        "explainers/smooth_grad.py",
        "x.amax((1, 2, 3), keepdim=True)",
        "x.amax()",
        GRADIENTS,
    ),
    Fault(
        "torch's own stream",
        "explainers/smooth_grad.py",
        "generator=generator).to(x)",
        ").to(x)",
        GRADIENTS,
    ),
    Fault(
        "only functions",
        "explainers/guided_backprop.py",
        "torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}",
        "torch.relu_, Tensor.relu_}",
        GRADIENTS,
    ),
    Fault("nothing guided", "explainers/guided_backprop.py", "gradient.clamp_min(0)", "gradient", GRADIENTS),
    Fault("no ReLU needed", "explainers/guided_backprop.py", "if not guided.seen:", "if False:", GRADIENTS),
    # class activation maps
    Fault(
        "2 forgotten",
        "explainers/cam.py",
        "(positive / (2 + positive * total))",
        "(positive / (1 + positive * total))",
        CAMS,
    ),
    Fault("mean for sum", "explainers/cam.py", "torch.where(total == 0, 1.0, total)", "total.add(1e-7)", CAMS),
    Fault("any sign", "explainers/eigen_cam.py", "torch.where(agrees, projection, -projection)", "projection", CAMS),
    Fault(
        "not centred",
        "explainers/eigen_cam.py",
        "centred = features - features.mean(1, keepdim=True)",
        "centred = features",
        CAMS,
    ),
    Fault(
        "direction held fixed",
        "explainers/eigen_cam.py",
        "return first + correction - correction.detach()",
        "return first",
        GRADIENTS,
    ),
    Fault("gap forgotten", "explainers/eigen_cam.py", "(inner / gap)", "inner", CAMS),
    Fault("ablated alone", "explainers/ablation_cam.py", "keep = 1 - F.one_hot(", "keep = F.one_hot(", CAMS),
    Fault("branches forgotten", "explainers/ablation_cam.py", "except RuntimeError:", "except KeyError:", CAMS),
    Fault(
        "unmasked",
        "explainers/score_cam.py",
        "model(masked.flatten(0, 1))",
        "model(masked.flatten(0, 1) * 0 + x[:1])",
        CAMS,
    ),
    Fault("first call counts", "explainers/layers.py", "outputs[-1], len(outputs) - 1)", "outputs[0], 0)", CAMS),
    Fault(
        "changed at every call",
        "explainers/layers.py",
        "if next(calls) == call else output",
        "if True else output",
        CAMS,
    ),
    Fault(
        "the class token is a patch",
        "explainers/layers.py",
        "output[:, -side * side :]",
        "output[:, : side * side]",
        CAMS,
    ),
    Fault(
        "the last norm of all", "explainers/layers.py", "for layer in reversed(layers[:-1]):", "for layer in ():", CAMS
    ),
    # perturbations
    Fault(
        "the edge stays",
        "explainers/occlusion.py",
        "[*range(0, last, stride), last]",
        "[*range(0, last + 1, stride)]",
        PERTURBATIONS,
    ),
    Fault("sums for means", "explainers/occlusion.py", "rows, columns) / covered", "rows, columns)", PERTURBATIONS),
    Fault(
        "rises",
        "explainers/occlusion.py",
        "drops.append(whole - torch.cat(left))",
        "drops.append(torch.cat(left) - whole)",
        PERTURBATIONS,
    ),
    Fault("rows for columns", "explainers/occlusion.py", '"bij,ih,jw->bhw"', '"bji,ih,jw->bhw"', PERTURBATIONS),
    Fault(
        "never shifted",
        "explainers/rise.py",
        "start = (shift * cell).long()[:, None]",
        "start = (shift * 0).long()[:, None]",
        PERTURBATIONS,
    ),
    Fault(
        "as expected",
        "explainers/rise.py",
        "weighted / through.clamp_min(_TINY)",
        "weighted / (self.masks * self.keep)",
        PERTURBATIONS,
    ),
    Fault(
        "mask inside out",
        "explainers/rise.py",
        "torch.lerp(behind, few, masks",
        "torch.lerp(few, behind, masks",
        PERTURBATIONS,
    ),
    Fault(
        "the first image fills all",
        "explainers/superpixels.py",
        "return fill(x, torch.zeros_like(x[:, 0], dtype=torch.int64))",
        "return fill(x[:1], torch.zeros_like(x[:1, 0], dtype=torch.int64)).expand_as(x)",
        PERTURBATIONS,
    ),
]
