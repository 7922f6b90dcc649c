"""Faults in training with explanation consistency: its score, its weights, and the steps that are watched."""

from __future__ import annotations

from fault import Fault

CLOSED = "tests/oracles/test_inconsistency.py"
FOLDING = "tests/oracles/test_folding.py"
PRINTED = "tests/reference/test_inconsistency_reference.py"
WEIGHTING = "tests/stages/test_weighting.py"

SCORE = "metrics/inconsistency.py"
STEPS = "weighting/online.py"
WEIGHED = "weighting/reweighting.py"
SHAPES = "weighting/shapes.py"

FAULTS = [
    # backgrounds, distances, squashing
    Fault("the sign of 0 is -1", "consistency/backgrounds.py", "gradient < 0", "gradient <= 0", CLOSED),
    Fault(
        "down the loss", "consistency/backgrounds.py", "< 0, -self.eps, self.eps)", "< 0, self.eps, -self.eps)", PRINTED
    ),
    Fault("what is pointed at moves", "consistency/backgrounds.py", "step * (1 - maps", "step * (maps", PRINTED),
    Fault("pixels leave", "consistency/backgrounds.py", ".clamp(0, 1)", "", CLOSED),
    Fault(
        "the background stays",
        "consistency/backgrounds.py",
        "(backdrop(self.fill, x), x,",
        "(x, backdrop(self.fill, x),",
        CLOSED,
    ),
    Fault(
        "lengths, not squares",
        "consistency/distances.py",
        ".square().sum((1, 2))",
        ".square().sum((1, 2)).sqrt()",
        PRINTED,
    ),
    Fault("cells as they come", "consistency/distances.py", "if first.shape[1:] == x.shape[2:]:", "if False:", PRINTED),
    Fault(
        "pixels at the map's size",
        "consistency/distances.py",
        "squared(at_size(first, height, width), at_size(second, height, width))",
        "squared(first, second)",
        PRINTED,
    ),
    Fault("corners are aligned", "consistency/distances.py", "align_corners=False", "align_corners=True", PRINTED),
    Fault("the mean without scale", "consistency/distances.py", "self.scale * (first", "(first", PRINTED),
    Fault("the sum for the mean", "consistency/distances.py", ".mean((1, 2))", ".sum((1, 2))", PRINTED),
    Fault("softsign up to a half", "consistency/squashing.py", "(1 + distance)", "(1 + 2 * distance)", CLOSED),
    Fault("arctan above 1", "consistency/squashing.py", "(2 / math.pi)", "(1 / math.pi)", CLOSED),
    # the score
    Fault(
        "no lowest point",
        SCORE,
        "return (maps - low) / torch.where(high > low, high - low, 1.0)",
        "return maps / torch.where(high > low, high, 1.0)",
        PRINTED,
    ),
    Fault(
        "flat maps are ones",
        SCORE,
        "(maps - low) / torch.where(high > low, high - low, 1.0)",
        "torch.where(high > low, (maps - low) / (high - low), 1.0)",
        CLOSED,
    ),
    Fault("signed maps", SCORE, "    maps = maps.relu()\n", "", PRINTED),
    Fault(
        "wrong ones are looked at",
        SCORE,
        "right(first.predicted, y) if self.only_correct else",
        "right(first.predicted, first.predicted) if True else",
        PRINTED,
    ),
    Fault(
        "another class does not matter",
        SCORE,
        "torch.where(first.predicted == second.predicted, value, 1.0)",
        "value",
        PRINTED,
    ),
    Fault(
        "in training mode",
        SCORE,
        "        with frozen(model):\n            first",
        "        if model.requires_grad_(False):\n            first",
        CLOSED,
    ),
    Fault(
        "the gradient of the prediction",
        SCORE,
        "torch.autograd.grad(losses(logits, y).sum(), x)",
        "torch.autograd.grad(logits.amax(1).sum(), x)",
        PRINTED,
    ),
    Fault("the mean of all logits is explained", SCORE, "logits.max(1).values.sum()", "logits.mean(1).sum()", PRINTED),
    Fault("of equals both are explained", SCORE, "logits.max(1).values.sum()", "logits.amax(1).sum()", CLOSED),
    Fault(
        "needs gradients around it",
        SCORE,
        "with torch.enable_grad():",
        "with torch.set_grad_enabled(torch.is_grad_enabled()):",
        CLOSED,
    ),
    Fault(
        "the images want gradients",
        SCORE,
        "x = x.detach().requires_grad_(wanted)",
        "x = x.requires_grad_(wanted)",
        CLOSED,
    ),
    Fault("half of the precision", SCORE, "value = x.new_ones(len(x))", "value = torch.ones(len(x))", CLOSED),
    Fault("a layer for each batch", SCORE, "or explainer.layer:", "or True:", CLOSED),
    Fault("no graph at the layer", "modes.py", "if begin and not output.requires_grad:", "if False:", CLOSED),
    Fault(
        "all parameters want gradients",
        "modes.py",
        "parameter.requires_grad_(requires_grad)",
        "parameter.requires_grad_(True)",
        CLOSED,
    ),
    Fault(
        "XGrad-CAM is Grad-CAM",
        "explainers/cam.py",
        "return x_grad_cam(activation, gradient)",
        "return grad_cam(activation, gradient)",
        PRINTED,
    ),
    Fault(
        "Grad-CAM++ is Grad-CAM",
        "explainers/cam.py",
        "return grad_cam_plus_plus(activation, gradient)",
        "return grad_cam(activation, gradient)",
        CLOSED,
    ),
    Fault(
        "Eigen-CAM of gradients",
        "explainers/eigen_cam.py",
        "        return eigen_cam(activation)\n",
        "        return eigen_cam(gradient)\n",
        PRINTED,
    ),
    # labels
    Fault("the mean over classes", "labels.py", 'reduction="none").sum(1)', 'reduction="none").mean(1)', CLOSED),
    Fault("any class is right", "labels.py", "[:, 0] > 0 if", "[:, 0] >= 0 if", CLOSED),
    Fault("half of the entropy", "labels.py", ".sum((0, 2))", ".sum(2)[0]", CLOSED),
    Fault("logarithms of 0", "labels.py", "-F.logsigmoid(p)", "-F.sigmoid(p).log()", CLOSED),
    # folding
    Fault("whatever comes out", "folding.py", "if not torch.allclose(", "if False and not torch.allclose(", FOLDING),
    Fault(
        "activations overwrite",
        "folding.py",
        "            module.inplace = False  # type",
        "            pass  # type",
        FOLDING,
    ),
    Fault(
        "activations stay apart", "folding.py", "            module.inplace = inplace\n", "            pass\n", FOLDING
    ),
    Fault(
        "nothing comes back",
        "folding.py",
        "    finally:\n        unfold(pairs, own)",
        "    finally:\n        pass",
        FOLDING,
    ),
    Fault(
        "the layer apart is folded",
        "folding.py",
        "with tap(model, apart) if apart else nullcontext():",
        "with nullcontext():",
        FOLDING,
    ),
    Fault("what was overwritten is folded", "folding.py", " and inputs[0]._version == version:", ":", FOLDING),
    Fault(
        "shared ones are folded",
        "folding.py",
        "if calls[c] == calls[n] == 1 and c not in shared",
        "if c not in shared",
        FOLDING,
    ),
    Fault("two readers are folded", "folding.py", " and c not in shared]", "]", FOLDING),
    Fault("batch statistics are folded", "folding.py", "and not module.training and module", "and module", FOLDING),
    Fault("twice folded", "folding.py", 'return fixed and "forward" not in module.__dict__', "return fixed", FOLDING),
    Fault("transposed ones are folded", "folding.py", "and not module.transposed and", "and", FOLDING),
    Fault("weights that are made anew", "folding.py", ' and "weight" in module._parameters', "", FOLDING),
    Fault(
        "another memory format",
        "folding.py",
        "torch.empty_like(convolution.weight).copy_(weight)",
        "weight.detach().contiguous()",
        FOLDING,
    ),
    Fault("the normalisation stays", "folding.py", "norm.forward = itself", "norm.itself = itself", FOLDING),
    Fault(
        "the old bias",
        "folding.py",
        'convolution._parameters["bias"] = nn.Parameter(bias',
        'convolution._parameters["bias"] = nn.Parameter(0 * bias',
        FOLDING,
    ),
    Fault("hooks of folding stay", "folding.py", "            handle.remove()", "            pass", FOLDING),
    # shapes
    Fault("the easiest", SHAPES, "descending=True, stable=True", "stable=True", WEIGHTING),
    Fault("ties in some order", SHAPES, "descending=True, stable=True", "descending=True", WEIGHTING),
    Fault(
        "one too many",
        SHAPES,
        "max(1, round(self.share * len(scores)))",
        "1 + int(self.share * len(scores))",
        WEIGHTING,
    ),
    Fault("none at all", SHAPES, "max(1, round(", "max(0, round(", WEIGHTING),
    Fault("relative to the largest", SHAPES, "scores.mean()", "scores.max()", WEIGHTING),
    Fault("0 over 0", SHAPES, ".clamp_min(torch.finfo(scores.dtype).tiny)", "", WEIGHTING),
    Fault("in one order for all seeds", SHAPES, "manual_seed(seed)", "manual_seed(0)", WEIGHTING),
    Fault(
        "drawn with replacement",
        SHAPES,
        "torch.randperm(len(weights), generator",
        "torch.randint(len(weights), (len(weights),), generator",
        WEIGHTING,
    ),
    Fault("shuffled scores", SHAPES, "weights = self.shape(scores, seed)", "weights = scores", WEIGHTING),
    # weights
    Fault("before the first epoch", WEIGHED, "return epoch > 0 and epoch", "return epoch", WEIGHTING),
    Fault("one epoch late", WEIGHED, "epoch % self.every == 0", "epoch % self.every == 1 % self.every", WEIGHTING),
    Fault("no lower bound", WEIGHED, ".clamp_min(self.least)", "", WEIGHTING),
    Fault("one seed for all epochs", WEIGHED, "seed * 1_000_003 + epoch)", "seed * 1_000_003)", WEIGHTING),
    Fault("scores of the last epoch", WEIGHED, " and epoch + 1 < epochs", "", WEIGHTING),
    Fault("gathered too late", WEIGHED, "self.due(epoch + 1)", "self.due(epoch)", WEIGHTING),
    Fault("no warning", WEIGHED, "> EQUAL:", "> 2 * EQUAL:", WEIGHTING),
    Fault("always a warning", WEIGHED, "> EQUAL:", "> 0:", WEIGHTING),
    Fault(
        "scores in training mode",
        WEIGHED,
        "with frozen(model), seeded_globally(seed, 0):",
        "with seeded_globally(seed, 0):",
        WEIGHTING,
    ),
    Fault(
        "random numbers are used up",
        WEIGHED,
        "with frozen(model), seeded_globally(seed, 0):",
        "with frozen(model):",
        WEIGHTING,
    ),
    Fault(
        "every batch draws others",
        WEIGHED,
        "    with seeded_globally(seed, 0):\n        return value().detach()",
        "    return value().detach()",
        WEIGHTING,
    ),
    Fault(
        "never lighter",
        WEIGHED,
        "return folded(model, x, apart=layer) if layer else nullcontext()",
        "return nullcontext()",
        WEIGHTING,
    ),
    Fault("losses of the whole model", WEIGHED, "if isinstance(score, Loss | Uncertainty):", "if False:", WEIGHTING),
    Fault(
        "effective share upside down",
        WEIGHED,
        "double.sum().square() / (len(double)",
        "(len(double) * double.square().sum()) / (double.sum().square()",
        WEIGHTING,
    ),
    Fault("a tenth too far", WEIGHED, "(double * BINS).long()", "(double * BINS).ceil().long()", WEIGHTING),
    Fault("1 has no place", WEIGHED, ".clamp(0, BINS - 1)", ".clamp(0, BINS)", WEIGHTING),
    Fault("the least said", WEIGHED, "i = max(range(BINS)", "i = min(range(BINS)", WEIGHTING),
    # in training
    Fault("no weights", "train.py", "weighted_steps(training.weighting,", "weighted_steps(None,", WEIGHTING),
    Fault(
        "always gathered",
        "train.py",
        "training.weighting is not None and training.weighting.gathers(epoch, training.epochs)",
        "training.weighting is not None and training.weighting.online",
        WEIGHTING,
    ),
    Fault(
        "judged after the step",
        "train.py",
        "    judge()\n    optimizer.step()\n",
        "    optimizer.step()\n    judge()\n",
        WEIGHTING,
    ),
    Fault("nothing is told", "train.py", "[log[-1] | weighed]", "[log[-1]]", WEIGHTING),
    Fault(
        "the first epoch is weighed",
        "train.py",
        "kept.tensors, epoch, seed)\n\n\ndef validation_of",
        "kept.tensors, epoch + 1, seed)\n\n\ndef validation_of",
        WEIGHTING,
    ),
    Fault(
        "the data's weights are lost", STEPS, "own if batch.weight is None else own * batch.weight", "own", WEIGHTING
    ),
    Fault("weights by place", STEPS, "own = weights[batch.index]", "own = weights[: len(batch.x)]", WEIGHTING),
    Fault("scores by place", STEPS, "scores[batch.index] =", "scores[: len(batch.x)] =", WEIGHTING),
    # watched steps
    Fault("attacks count", STEPS, " and module.training and torch.is_grad_enabled():", ":", WEIGHTING),
    Fault("every pass counts", STEPS, "inputs[0] is self.x and not self.done", "not self.done", WEIGHTING),
    Fault("statistics stand still", STEPS, "            norm.momentum = 1.0\n", "", WEIGHTING),
    Fault(
        "own statistics are written to",
        STEPS,
        'norm._buffers["running_var"] = norm.running_var.clone()',
        "pass",
        WEIGHTING,
    ),
    Fault("they do not follow", STEPS, "norm.running_mean.data.lerp_(mean, share)", "pass", WEIGHTING),
    Fault("they follow in the graph", STEPS, "norm.running_var.data.lerp_(", "norm.running_var.lerp_(", WEIGHTING),
    Fault(
        "no cumulative mean",
        STEPS,
        "1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum",
        "norm.momentum or 0.1",
        WEIGHTING,
    ),
    Fault("the unbiased variance", STEPS, "variance * ((size - 1) / size)", "variance", WEIGHTING),
    Fault("a map of mixed images", STEPS, "self.mixed = self.output is not None", "self.mixed = False", WEIGHTING),
    Fault("always one pass more", STEPS, "self.mixed = output, False", "self.mixed = output, True", WEIGHTING),
    Fault("what is kept is overwritten", STEPS, "return output.clone()", "return output", WEIGHTING),
    Fault("a graph is freed", STEPS, "self.x, again=True)", "self.x, again=False)", WEIGHTING),
    Fault(
        "wrong ones count as they are", STEPS, "if self.score.only_correct else value", "if False else value", WEIGHTING
    ),
    Fault(
        "other statistics",
        STEPS,
        "with held(self.statistics), untrainable(self.model):",
        "with untrainable(self.model):",
        WEIGHTING,
    ),
    Fault(
        "parameters are trained by a look",
        STEPS,
        "with held(self.statistics), untrainable(self.model):",
        "with held(self.statistics):",
        WEIGHTING,
    ),
    Fault(
        "other dropout",
        STEPS,
        "        with replayed(self.random, x):\n            return",
        "        if True:\n            return",
        WEIGHTING,
    ),
    Fault(
        "generators stay behind",
        STEPS,
        "with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):",
        "if True:",
        WEIGHTING,
    ),
    Fault(
        "no word of what is missing", STEPS, "if not self.done or self.x.grad is None:", "if not self.done:", WEIGHTING
    ),
    Fault("hooks stay", STEPS, "            handle.remove()", "            pass", WEIGHTING),
    Fault(
        "statistics stay aside",
        STEPS,
        "            handle.remove()\n        self.restore()",
        "            handle.remove()",
        WEIGHTING,
    ),
    Fault("evaluation mode stays", STEPS, "            norm.training = True\n", "            pass\n", WEIGHTING),
    Fault(
        "frozen ones follow",
        STEPS,
        "if norm.training and norm.track_running_stats",
        "if norm.track_running_stats",
        WEIGHTING,
    ),
]
