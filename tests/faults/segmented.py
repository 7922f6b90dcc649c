"""Faults in data in which the class of each pixel is known, and in what wraps data of several classes."""

from __future__ import annotations

from fault import Fault

SEGMENTED = "tests/stages/test_segmented_data.py"

VOC, VOC_FILES, CUB, NINE = (f"data/{name}.py" for name in ("voc", "voc_files", "cub", "imagenet9"))
BIASED, BACKGROUNDS, SAMPLES, SHORTHAND = (f"data/{n}.py" for n in ("biased", "backgrounds", "samples", "shorthand"))
PIXELS, DECOYS = "data/segmented.py", "data/decoys.py"

FAULTS = [
    # VOC
    Fault("val is for training", VOC, '"val" if split == "test" else "train"', '"train"', SEGMENTED),
    Fault("background is a class", VOC, "minlength=256)[1:21]", "minlength=256)[0:20]", SEGMENTED),
    Fault("empty images stay", VOC, "if mask.pixels.any()]", "]", SEGMENTED),
    Fault("the rarest class", VOC, "pixels.argmax(1)", "pixels.where(pixels > 0, 999).argmin(1)", SEGMENTED),
    Fault("counts for labels", VOC, "(pixels > 0).float()", "pixels.float()", SEGMENTED),
    Fault("classes one too high", VOC, "torch.arange(len(OBJECTS))", "torch.arange(1, len(OBJECTS) + 1)", SEGMENTED),
    Fault("borders are background", VOC, "= NOWHERE, VOID", "= NOWHERE, NOWHERE", SEGMENTED),
    Fault("unknown numbers pass", VOC, "(unknown := regions == len(OBJECTS)).any()", "False", SEGMENTED),
    Fault("in the order drawn", VOC, "key=lambda mask: mask.row", "key=lambda mask: 0", SEGMENTED),
    Fault("the first instead of drawn", VOC, "rows[permuted(len(rows), data.seed)] if", "rows if", SEGMENTED),
    Fault("a limit reads all", VOC, "if 0 < data.limit <= len(found):", "if False:", SEGMENTED),
    Fault("a limit is a start", VOC, "found[: data.limit or None]", "found", SEGMENTED),
    Fault("masks of any size", VOC, "        check_sizes(samples, [mask.uncut for mask in found])\n", "", SEGMENTED),
    Fault("an empty split", VOC, "        if not found:", "        if False:", SEGMENTED),
    Fault("names lead elsewhere", VOC_FILES, 'if not name.replace("_", "").isalnum()', "if False", SEGMENTED),
    Fault("an empty list", VOC_FILES, "    if not names:", "    if False:", SEGMENTED),
    Fault("one file only", VOC_FILES, "for file in files]", "for file in files[:1]]", SEGMENTED),
    Fault("any column", VOC_FILES, "            check_encoded(schema, name, file)", "            pass", SEGMENTED),
    Fault(
        "only from above",
        VOC_FILES,
        '(("VOCdevkit", "VOC2012"), ("VOC2012",), ())',
        '(("VOCdevkit", "VOC2012"),)',
        SEGMENTED,
    ),
    # masks and regions
    Fault("masks are blended", PIXELS, "nearest=True", "nearest=False", SEGMENTED),
    Fault("masks are cut otherwise", PIXELS, "size, resize, name, nearest", "size, size, name, nearest", SEGMENTED),
    Fault("colours for numbers", PIXELS, 'image.mode not in ("P", "L")', "False", SEGMENTED),
    Fault("borders are objects", PIXELS, "mask=regions >= 0, regions", "mask=regions != -1, regions", SEGMENTED),
    Fault(
        "in memory, borders are objects",
        PIXELS,
        "samples.classes, regions >= 0",
        "samples.classes, regions != -1",
        SEGMENTED,
    ),
    Fault("large images without regions", PIXELS, ", regions=regions)", ")", SEGMENTED),
    Fault("darker in memory", PIXELS, "mul(255).round()", "mul(254).round()", SEGMENTED),
    Fault("in memory without titles", PIXELS, ", regions, titles)", ", regions)", SEGMENTED),
    # CUB
    Fault("one annotator is enough", CUB, "> 127", "> 0", SEGMENTED),
    Fault("all must agree", CUB, "> 127", "> 200", SEGMENTED),
    Fault("test is for training", CUB, '(training[i] == "0") == test', '(training[i] == "1") == test', SEGMENTED),
    Fault(
        "outlines inside only", CUB, "(folder / OUTLINES, folder.parent / OUTLINES)", "(folder / OUTLINES,)", SEGMENTED
    ),
    Fault("the bird has no class", CUB, "batch.y[:, None, None], NOWHERE)", "0, NOWHERE)", SEGMENTED),
    Fault("paths lead elsewhere", CUB, '".." in Path(path).parts', "False", SEGMENTED),
    Fault("images without a class", CUB, "species.get(i) is None or training", "training", SEGMENTED),
    Fault("a mask of another size", CUB, "        check_size(grey.size,", "        print(grey.size,", SEGMENTED),
    Fault(
        "alpha counts", CUB, 'rgb(opened(path, name), name).convert("L")', "opened(path, name).split()[-1]", SEGMENTED
    ),
    # ImageNet-9
    Fault("the original always", NINE, 'root / variant / "val"', 'root / "original" / "val"', SEGMENTED),
    Fault(
        "training beside only", NINE, '(root / "train", root / "original" / "train")', '(root / "train",)', SEGMENTED
    ),
    Fault(
        "test needs training", NINE, "class_folders(train or folder)", "class_folders(found(train, root))", SEGMENTED
    ),
    # bias
    Fault("variance for deviation", BIASED, "x.std((1", "x.var((1", SEGMENTED),
    Fault("deviation of each channel", BIASED, "x.std((1, 2, 3)", "x.std((2, 3)", SEGMENTED),
    Fault("a sample's deviation", BIASED, "correction=0", "correction=1", SEGMENTED),
    Fault("out of range", BIASED, ".clamp(0, 1)", "", SEGMENTED),
    Fault(
        "all are biased",
        BIASED,
        "torch.where(chosen, shifted(batch.x, self.shift, self.factor), batch.x)",
        "shifted(batch.x, self.shift, self.factor)",
        SEGMENTED,
    ),
    Fault(
        "by place in the batch",
        BIASED,
        "self.biased[torch.as_tensor(index, dtype=torch.int64)]",
        "self.biased[: len(index)]",
        SEGMENTED,
    ),
    Fault("one too few", BIASED, "round(self.share * len(samples))", "int(self.share * len(samples))", SEGMENTED),
    Fault(
        "the same whatever the seed",
        BIASED,
        "permuted(len(samples), self.seed)",
        "permuted(len(samples), 0)",
        SEGMENTED,
    ),
    Fault("bias everywhere", BIASED, "if split not in self.splits:", "if False:", SEGMENTED),
    # wrapped data
    Fault("a class in common", BACKGROUNDS, "((y @ classes) == 0)", "((y @ classes) < 2)", SEGMENTED),
    Fault(
        "the first stranger", BACKGROUNDS, "(drawn[own] * len(strangers)).long()", "(drawn[own] * 0).long()", SEGMENTED
    ),
    Fault("no stranger", BACKGROUNDS, "        if not len(strangers):", "        if False:", SEGMENTED),
    Fault("the donor's border shows", BACKGROUNDS, "mask | (donor.regions == VOID)", "mask", SEGMENTED),
    Fault(
        "regions from the donor",
        BACKGROUNDS,
        "batch._replace(x=before",
        "batch._replace(regions=donor.regions, x=before",
        SEGMENTED,
    ),
    Fault("regions without numbers", SAMPLES, "self.regions[i].long()", "self.regions[i]", SEGMENTED),
    Fault(
        "labels keep their places",
        SAMPLES,
        "index_copy_(1, places, y)",
        "index_copy_(1, places.sort().values, y)",
        SEGMENTED,
    ),
    Fault("regions keep their names", SAMPLES, "y=y, regions=regions)", "y=y)", SEGMENTED),
    Fault(
        "background is renamed",
        SAMPLES,
        "torch.where(regions < 0, regions, places[",
        "torch.where(regions < -9, regions, places[",
        SEGMENTED,
    ),
    Fault(
        "the last class", DECOYS, "batch.y.argmax(1)", "(batch.y.shape[1] - 1 - batch.y.flip(1).argmax(1))", SEGMENTED
    ),
    Fault("regions below the decoy", DECOYS, "batch.regions.masked_fill(patch, NOWHERE)", "batch.regions", SEGMENTED),
    # what a person types
    Fault("VOC in parquet is not seen", SHORTHAND, "    if has_masks(folder):", "    if False:", SEGMENTED),
    Fault("labels are overlooked", SHORTHAND, " and not set(LABELS).intersection(names)", "", SEGMENTED),
    Fault(
        "a variant is all of them",
        SHORTHAND,
        "[ImageNet9] if inside.",
        "[ImageNet9] if {folder.name, *inside}.",
        SEGMENTED,
    ),
]
