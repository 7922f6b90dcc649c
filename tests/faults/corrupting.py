"""Faults in corruptions: the wrong distribution, the wrong border, numbers shared, files believed."""

from __future__ import annotations

from fault import Fault

CORRUPTIONS = "tests/oracles/test_corruptions.py"
DATA = "tests/stages/test_corrupted_data.py"

FAULTS = [
    # random numbers
    Fault("one stream for all", "corruptions/images.py", "crc32(name.encode())", "0", CORRUPTIONS),
    Fault("no seed", "corruptions/images.py", "corruption.seed * 2**32", "0", CORRUPTIONS),
    Fault(
        "half a bell",
        "draws.py",
        "angle.sin_().mul_(length)",
        "angle.sin_().abs().mul_(length)",
        CORRUPTIONS,
    ),
    Fault("one half of each number", "draws.py", ".mul_(2.0**-23).add_(0.5)", ".mul_(2.0**-22)", CORRUPTIONS),
    # noise
    Fault("only pepper", "corruptions/noise.py", "(number < share / 2)", "(number < 0)", CORRUPTIONS),
    Fault("greys between forgotten", "corruptions/noise.py", "bool(rest.any())", "False", CORRUPTIONS),
    Fault(
        "no alias",
        "corruptions/noise.py",
        "torch.where(kept, column, other",
        "torch.where(kept | True, column, other",
        CORRUPTIONS,
    ),
    Fault("few stops early", "corruptions/noise.py", "TERMS = 30", "TERMS = 3", CORRUPTIONS),
    Fault("speckle as bright everywhere", "corruptions/noise.py", ".add_(1).mul_(image)", ".add_(image)", CORRUPTIONS),
    # lengths and borders
    Fault("lengths stay", "corruptions/images.py", "max(min(x.shape[-2:]) / SIDE, 1.0)", "1.0", CORRUPTIONS),
    Fault(
        "mirror at the edge",
        "corruptions/filters.py",
        "period = max(2 * (side - 1), 1)",
        "period = 2 * side",
        CORRUPTIONS,
    ),
    Fault(
        "flat grains", "corruptions/filters.py", "float(plain.square().sum() / wide.square().sum())", "1.0", CORRUPTIONS
    ),
    Fault("zoom off the middle", "corruptions/filters.py", "(side - kept) // 2, max(", "0, max(", CORRUPTIONS),
    Fault(
        "rows for columns",
        "corruptions/filters.py",
        "across = x @ columns.to(x).T",
        "across = x @ columns.to(x)",
        CORRUPTIONS,
    ),
    # what is drawn
    Fault(
        "disk is a square",
        "corruptions/blur.py",
        "down.square()) <= radius**2",
        "0 * down.square()) <= radius**2",
        CORRUPTIONS,
    ),
    Fault(
        "streak both ways", "corruptions/streaks.py", "(reach + (steps * part", "(reach - (steps * part", CORRUPTIONS
    ),
    Fault(
        "glass forgets what changed",
        "corruptions/glass.py",
        "torch.where(changed, source,",
        "torch.where(changed, source + len(place),",
        CORRUPTIONS,
    ),
    Fault("linear decay", "corruptions/plasma.py", "2 * wobble * wobble", "2 * wobble", CORRUPTIONS),
    Fault("distances by the step", "corruptions/spatter.py", "2 * step - 1", "step", CORRUPTIONS),
    Fault("snow once", "corruptions/weather.py", "+ snow + snow.flip(-1, -2)", "+ snow + snow", CORRUPTIONS),
    Fault("tables not scaled", "corruptions/jpeg.py", "200 - 2 * quality", "100", CORRUPTIONS),
    Fault(
        "colours at full size rounded alike",
        "corruptions/jpeg.py",
        ".remainder(2).add(1)",
        ".remainder(2).add(3)",
        CORRUPTIONS,
    ),
    Fault(
        "last blocks filled late",
        "corruptions/jpeg.py",
        "filled(image[:, 1:], 2, 16)",
        "filled(image[:, 1:], 16, 16)",
        CORRUPTIONS,
    ),
    Fault(
        "grey is blue",
        "corruptions/colours.py",
        "torch.tensor([0.0, 1.0, 1.0])",
        "torch.tensor([1.0, 1.0, 0.0])",
        CORRUPTIONS,
    ),
    Fault("affine forwards", "corruptions/elastic.py", "(d * x - b * y) / size", "(a * x + b * y)", CORRUPTIONS),
    Fault("rims inside out", "corruptions/spatter.py", "return wet & ~inner", "return inner", CORRUPTIONS),
    Fault("the graph stays", "corruptions/images.py", "return x.detach().to(", "return x.to(", CORRUPTIONS),
    # names and errors
    Fault("extra is standard", "corruptions/naming.py", "tuple(NAMES)[:15]", "tuple(NAMES)[:16]", CORRUPTIONS),
    Fault(
        "accuracies for errors",
        "corruptions/errors.py",
        "total[name] += most - accuracies",
        "total[name] += accuracies",
        CORRUPTIONS,
    ),
    # data
    Fault("every split is corrupted", "data/corrupted.py", "if split in self.splits else samples", "", DATA),
    Fault(
        "always severity 1",
        "data/cifar_c.py",
        "[(self.severity - 1) * count : self.severity * count]",
        "[:count]",
        DATA,
    ),
    Fault("all in memory", "data/cifar_c.py", 'mmap_mode="r", ', "", DATA),
    Fault("pickles are run", "data/cifar_c.py", 'mmap_mode="r", allow_pickle=False', "allow_pickle=True", DATA),
    Fault("any shape", "data/cifar_c.py", "found.shape[1:] != PICTURE", "False", DATA),
    Fault("negative labels", "data/cifar_c.py", "int(found.min()) < 0 or", "", DATA),
    Fault("labels shuffled by severity", "data/cifar_c.py", "(labels != labels[0]).any()", "False", DATA),
]
