"""Faults in interpretable networks: padding that stays, losses that leave something out, maps that hide a filter."""

from __future__ import annotations

from fault import Fault

COMPOSITIONAL = "tests/oracles/test_compositional.py"
REFERENCE = "tests/reference/test_filter_losses.py"

NETWORK, LOSSES, MAPS = "models/iccnn.py", "objectives/compositional.py", "explainers/filter_map.py"

FAULTS = [
    # the network
    Fault("zeros stay", NETWORK, '= "replicate"', '= "zeros"', COMPOSITIONAL),
    Fault("another padding", NETWORK, '= "replicate"', '= "reflect"', COMPOSITIONAL),
    Fault("other paddings change too", NETWORK, ' and module.padding_mode == "zeros"', "", COMPOSITIONAL),
    Fault("what does not pad is changed", NETWORK, " and pads(module)", "", COMPOSITIONAL),
    Fault("same padding is overlooked", NETWORK, 'padding == "same" if', "False if", COMPOSITIONAL),
    Fault("one side is enough", NETWORK, "else any(padding)", "else all(padding)", COMPOSITIONAL),
    Fault("weights are forgotten", NETWORK, "if self.weights:", "if False:", COMPOSITIONAL),
    Fault("the head must fit", NETWORK, "self.weights, self.new_head)", "self.weights)", COMPOSITIONAL),
    # the filter loss
    Fault("apart instead of alike", LOSSES, "return -((toward", "return ((toward", REFERENCE),
    Fault("all against all", LOSSES, "/ toward.sum(1).clamp_min", "/ similar.sum().clamp_min", REFERENCE),
    Fault("within is everywhere", LOSSES, "(toward * member).sum(1)", "toward.sum(1)", REFERENCE),
    Fault("not shifted", LOSSES, "return 1 + weighted", "return weighted", REFERENCE),
    Fault("about nothing", LOSSES, "flat - mean.flatten(1)", "flat - 0 * mean.flatten(1)", REFERENCE),
    Fault("no sample weights", LOSSES, "share.view(-1, 1, 1) * along", "along / len(along)", COMPOSITIONAL),
    Fault("the mean map learns", LOSSES, "maps.detach().mean(0)", "maps.mean(0)", COMPOSITIONAL),
    Fault("rounding has a direction", LOSSES, "1e-10 * flat.square()", "0 * flat.square()", COMPOSITIONAL),
    Fault("dead filters explode", LOSSES, "torch.where(some, square, 1.0).rsqrt()", "square.rsqrt()", COMPOSITIONAL),
    # the category loss
    Fault("images as long as they are", LOSSES, "some, vectors * torch", "some, vectors + 0 * torch", REFERENCE),
    Fault("small groups count as much", LOSSES, "@ member.T * member.sum(1)).relu()", "@ member.T).relu()", REFERENCE),
    Fault("negative groups count", LOSSES, "* member.sum(1)).relu()", "* member.sum(1))", COMPOSITIONAL),
    Fault("classes against the others", LOSSES, "@ active.sum(0))", "@ (active.sum(0) - active[0]))", REFERENCE),
    Fault("means, not sums", LOSSES, "together.square().sum(1) /", "together.square().sum(1) / of.sum(0) /", REFERENCE),
    Fault(
        "classes regardless of weights",
        LOSSES,
        "weight = (share @ of) / of.mean(0).clamp_min(1e-12)",
        "weight = of.amax(0)",
        COMPOSITIONAL,
    ),
    Fault(
        "weights by the number of images",
        LOSSES,
        "weight = (share @ of) / of.mean(0).clamp_min(1e-12)",
        "weight = share @ of * len(of)",
        COMPOSITIONAL,
    ),
    Fault("terms unweighted", LOSSES, "self.category * category_loss", "category_loss", COMPOSITIONAL),
    Fault("parts unweighted", LOSSES, "self.part * part_loss", "part_loss", COMPOSITIONAL),
    Fault(
        "weights do not add up", LOSSES, "return weight / weight.sum().clamp_min(1e-12)", "return weight", COMPOSITIONAL
    ),
    # groups
    Fault("a mean of all places", LOSSES, "total @ total.T / count", "0 * total @ total.T", REFERENCE),
    Fault("single precision", LOSSES, "flat = maps.flatten(2).double()", "flat = maps.flatten(2)", COMPOSITIONAL),
    Fault("the last batch only", LOSSES, "products.to(flat) + rows @ rows.T", "rows @ rows.T", REFERENCE),
    Fault("dead filters are noise", LOSSES, "variance > 1e-10 * products.diagonal()", "variance > 0", COMPOSITIONAL),
    Fault("opposites attract", LOSSES, "affinity = (correlated + 1)", "affinity = (1 - correlated)", COMPOSITIONAL),
    Fault("numbered at random", LOSSES, "tuple(numbers[label] for", "tuple(label for", COMPOSITIONAL),
    Fault("drawn anew", LOSSES, "random_state=21", "random_state=None", COMPOSITIONAL),
    Fault("groups of the numbers", LOSSES, "if k == number) for", "if k >= number) for", COMPOSITIONAL),
    # looking
    Fault("always looks", LOSSES, "if self.groups and epoch % self.every else", "if False else", COMPOSITIONAL),
    Fault(
        "looks at the first time only",
        LOSSES,
        "if self.groups and epoch % self.every else",
        "if self.groups else",
        COMPOSITIONAL,
    ),
    Fault(
        "does not begin",
        LOSSES,
        "if self.groups and epoch % self.every else",
        "if epoch % self.every else",
        COMPOSITIONAL,
    ),
    Fault(
        "looks in training mode", LOSSES, "with frozen(model), torch.no_grad()", "with torch.no_grad()", COMPOSITIONAL
    ),
    Fault("a look draws", LOSSES, ", seeded_globally(0, 0):", ":", COMPOSITIONAL),
    Fault("looks at everything", LOSSES, "some = at_most(samples, self.images)", "some = samples", COMPOSITIONAL),
    Fault("the layer is forgotten", LOSSES, "replace(self, layer=layer, groups", "replace(self, groups", COMPOSITIONAL),
    Fault("too many clusters", LOSSES, "enough = len(found) >= self.clusters", "enough = True", COMPOSITIONAL),
    Fault(
        "what is inside does not look",
        LOSSES,
        "objective=looked(self.objective, model, samples, epoch)",
        "objective=self.objective",
        COMPOSITIONAL,
    ),
    Fault(
        "what is inside stays",
        LOSSES,
        "objective=advanced(self.objective, terms)",
        "objective=self.objective",
        COMPOSITIONAL,
    ),
    # the pass that counts
    Fault("what an attack saw", LOSSES, " or not any(p.requires_grad for p in model.parameters())", "", COMPOSITIONAL),
    Fault("some of the images", LOSSES, " or len(output) != count", "", COMPOSITIONAL),
    Fault("the last pass", LOSSES, "if outputs or len", "if outputs.clear() or len", COMPOSITIONAL),
    Fault("what comes next writes into it", LOSSES, "return output.clone()", "return output", COMPOSITIONAL),
    Fault("hooks stay", LOSSES, "        handle.remove()", "        pass", COMPOSITIONAL),
    Fault(
        "other groups are taken",
        LOSSES,
        "require(self, len(self.groups) == count,",
        "require(self, True,",
        COMPOSITIONAL,
    ),
    Fault(
        "a term of the same name is lost",
        LOSSES,
        "terms[name] + value if name in terms else value",
        "value",
        COMPOSITIONAL,
    ),
    # maps of filters
    Fault(
        "a strong filter hides the others",
        MAPS,
        "stretched(activation[:, list(self.filters)])",
        "activation[:, list(self.filters)]",
        COMPOSITIONAL,
    ),
    Fault(
        "a dead filter is divided by 0", MAPS, "torch.where(high > low, high - low, 1.0)", "(high - low)", COMPOSITIONAL
    ),
    Fault("not from 0", MAPS, "(activation - low) /", "activation /", COMPOSITIONAL),
    Fault(
        "strongest on average", MAPS, "activation.amax((2, 3)).argmax", "activation.mean((2, 3)).argmax", COMPOSITIONAL
    ),
    Fault("one filter for all images", MAPS, "chosen][:, None]", "chosen[0]][:, None]", COMPOSITIONAL),
    Fault(
        "any filter is there", MAPS, "require(self, max(self.filters) < count,", "require(self, True,", COMPOSITIONAL
    ),
    Fault("no graph", MAPS, "torch.set_grad_enabled(create_graph)", "torch.no_grad()", COMPOSITIONAL),
]
