"""Faults in networks of two levels: routes that end elsewhere, weights for another hierarchy, data of other classes."""

from __future__ import annotations

from fault import Fault

NETWORKS, STUDY = "tests/oracles/test_two_levels.py", "tests/stages/test_coarse_to_fine.py"

FAULTS = [
    Fault("a tie leaves the superclass", "models/two_levels.py", "(other >= best)", "(other > best)", NETWORKS),
    Fault(
        "a gap that rounding takes away",
        "models/two_levels.py",
        "1e-3 + 4 * torch.finfo(logits.dtype).eps * (best.abs() + other.abs()).detach()",
        "1e-3",
        NETWORKS,
    ),
    Fault(
        "absent classes count",
        "models/two_levels.py",
        "absent[row, : len(group)] = False",
        "absent[row] = False",
        NETWORKS,
    ),
    Fault(
        "elsewhere is above an unsure fine network",
        "models/two_levels.py",
        "above - sizes.log() - 1e-3",
        "above - 1e-3",
        NETWORKS,
    ),
    Fault(
        "classes in no superclass have the last one's",
        "models/two_levels.py",
        "torch.where(self.parents == NOWHERE, coarse.amin(1, keepdim=True), coarse[:, self.parents])",
        "coarse[:, self.parents] + (self.parents == NOWHERE) * 9",
        NETWORKS,
    ),
    Fault(
        "fine networks are asked about all",
        "models/two_levels.py",
        "part.network(x[part.where])",
        "part.network(x)[part.where]",
        NETWORKS,
    ),
    Fault(
        "fine logits in sorted order",
        "models/two_levels.py",
        "torch.tensor(self.hierarchy.groups[k], device",
        "torch.tensor(sorted(self.hierarchy.groups[k]), device",
        NETWORKS,
    ),
    Fault(
        "a constant without a graph",
        "models/two_levels.py",
        "return 0 * x.flatten(1).sum(1, keepdim=True)",
        "return x.new_zeros(len(x), 1)",
        NETWORKS,
    ),
    Fault(
        "any hierarchy will do",
        "models/coarse_to_fine.py",
        "if differing := (stored != own).any(1)",
        "if differing := (stored != own).all(1)",
        NETWORKS,
    ),
    Fault(
        "weights not loaded",
        "models/coarse_to_fine.py",
        "require_places(self.weights, model.places)\n            load_weights(model, self.weights)",
        "require_places(self.weights, model.places)",
        NETWORKS,
    ),
    Fault(
        "a flat network saved by its levels",
        "models/weights.py",
        "isinstance(model, Normalised | GroupedNetwork)",
        "isinstance(model, Normalised)",
        NETWORKS,
    ),
    Fault(
        "weights within a network overlooked",
        "cli/subjects.py",
        "and not (within and all(",
        "and not (within and not all(",
        STUDY,
    ),
    # data
    Fault(
        "images in no superclass stay",
        "data/superclasses.py",
        "chosen = (labels != NOWHERE).nonzero()[:, 0]",
        "chosen = torch.arange(len(labels))",
        STUDY,
    ),
    Fault(
        "labels of the first ones",
        "data/superclasses.py",
        "y=self.labels[positions], index",
        "y=self.labels[: len(positions)], index",
        STUDY,
    ),
    Fault(
        "regions keep their numbers",
        "data/superclasses.py",
        "torch.where(regions < 0, regions, self.places[regions.clamp_min(0)])",
        "regions",
        STUDY,
    ),
    Fault(
        "what is not to be judged is nowhere",
        "data/superclasses.py",
        "torch.where(regions < 0, regions, self",
        "torch.where(regions < -9, regions, self",
        STUDY,
    ),
    Fault(
        "labels read from images",
        "data/superclasses.py",
        'kept = getattr(samples, "labels", None)',
        "kept = None",
        STUDY,
    ),
    Fault(
        "a subset's labels are those of all",
        "data/superclasses.py",
        "labels_in(samples.samples)[list(samples.chosen)]",
        "labels_in(samples.samples)[: len(samples)]",
        STUDY,
    ),
    # the study
    Fault(
        "fine networks see all images",
        "studies/coarse_to_fine.py",
        'f"{name}-fine-{k}", fine, within(train, levels, k), judged',
        'f"{name}-fine-{k}", fine, within(train, levels, 0), judged',
        STUDY,
    ),
    Fault(
        "fine level measured within the predicted superclass",
        "studies/coarse_to_fine.py",
        "model.levels(batch.x, truth.coarse)",
        "model.levels(batch.x)",
        STUDY,
    ),
    Fault(
        "no image for a fine network",
        "studies/coarse_to_fine.py",
        "largest = max(checked(train, hierarchy), key",
        "largest = max([within(train, hierarchy, 2)], key",
        STUDY,
    ),
    Fault(
        "judged on any classes",
        "studies/coarse_to_fine_document.py",
        "if not found.as_published:",
        "if False:",
        STUDY,
    ),
    Fault(
        "one fine network within the range is enough",
        "studies/coarse_to_fine_document.py",
        "near = FINE[0] - NEAR <= lowest and highest <= FINE[1] + NEAR",
        "near = FINE[0] - NEAR <= lowest or highest <= FINE[1] + NEAR",
        STUDY,
    ),
    Fault(
        "more than the paper is the paper's number",
        "studies/coarse_to_fine_document.py",
        "abs(top.mean - COARSE) <= NEAR",
        "top.mean >= COARSE - NEAR",
        STUDY,
    ),
    Fault(
        "the paper's head is kept",
        "recipes/coarse_to_fine.py",
        'override(override(network, "weights", weights), "new_head", True)',
        'override(network, "weights", weights)',
        STUDY,
    ),
]
