"""Faults in showing explanations."""

from __future__ import annotations

from fault import Fault

EXPLAIN, GALLERY = (f"tests/stages/test_{name}.py" for name in ("explain", "gallery"))
CAPTUM = "tests/reference/test_captum_method.py"

FAULTS = [
    # the call and the command
    Fault(
        "target ignored",
        "explain.py",
        "column.add(model, x[part], chosen[part])",
        "column.add(model, x[part], probability[part].argmax(1))",
        EXPLAIN,
    ),
    Fault(
        "trainable while explained",
        "explain.py",
        "    with frozen(model):\n        for i, part",
        "    with frozen(nn.Identity()):\n        for i, part",
        EXPLAIN,
    ),
    Fault(
        "one surrogate for all", "explain.py", "Surrogate(*(torch.cat(fields) for", "Surrogate(*(fields[0] for", EXPLAIN
    ),
    Fault(
        "number before name",
        "explain.py",
        "if isinstance(wanted, str) and wanted in classes:",
        "if isinstance(wanted, str) and wanted in classes and not wanted.isdecimal():",
        EXPLAIN,
    ),
    Fault("counts calls", "explain.py", "seen[0] += len(inputs[0]) if inputs else 0", "seen[0] += 1", EXPLAIN),
    Fault("NaN in a map", "explain.py", "if not attribution.isfinite().all():", "if False:", EXPLAIN),
    Fault("overwrites", "report/explanations.py", "if out.is_dir() and any(out.iterdir()):", "if False:", GALLERY),
    Fault("labels by number", "cli/subjects.py", "if len(own) == len(called):", "if True:", EXPLAIN),
    Fault("index from 0", "cli/explaining.py", "return replace(found, index=seen.index)", "return found", EXPLAIN),
    Fault(
        "photos have a class", "data/photos.py", "torch.full((len(kept),), -1)", "torch.full((len(kept),), 0)", EXPLAIN
    ),
    # the page
    Fault("not escaped", "report/templates.py", "autoescape=True", "autoescape=False", GALLERY),
    Fault("whiskers of one error", "report/marks.py", "reach = NORMAL * error", "reach = error", GALLERY),
    Fault("positive first", "report/marks.py", "order = beta.abs().argsort(", "order = beta.argsort(", GALLERY),
    Fault(
        "half a border",
        "report/marks.py",
        "padded[1:-1, 1:] != padded[1:-1, :-1]",
        "padded[1:-1, 1:] & ~padded[1:-1, :-1]",
        GALLERY,
    ),
    Fault(
        "blue for the class",
        "report/figures.py",
        "np.where(values[..., None] > 0,",
        "np.where(values[..., None] < 0,",
        GALLERY,
    ),
    Fault(
        "selection in the dark",
        "report/figures.py",
        "np.where(selected.cpu().numpy()[..., None], 1.0, 0.18)",
        "np.where(selected.cpu().numpy()[..., None], 0.18, 1.0)",
        GALLERY,
    ),
    Fault(
        "NaN is no agreement",
        "report/agreement.py",
        "defined = ~np.isnan(tables)",
        "defined = np.ones_like(tables, bool)",
        GALLERY,
    ),
    Fault(
        "ties out of order",
        "statistics.py",
        "np.corrcoef(stats.rankdata(a), stats.rankdata(b))",
        "np.corrcoef(stats.rankdata(a, 'ordinal'), stats.rankdata(b, 'ordinal'))",
        GALLERY,
    ),
    # captum
    Fault("numpy not given back", "explainers/captum_method.py", "np.random.set_state(kept[1])", "pass", CAPTUM),
    Fault(
        "draws over the batch",
        "explainers/captum_method.py",
        'alone = "n_samples" in accepted or "feature_mask" in accepted',
        "alone = False",
        CAPTUM,
    ),
    Fault(
        "superpixels three times", "explainers/captum_method.py", "return found.mean(1)", "return found.sum(1)", CAPTUM
    ),
    Fault(
        "captum leaves things",
        "explainers/captum_method.py",
        "for name in set(vars(module)) - names:",
        "for name in ():",
        CAPTUM,
    ),
    Fault(
        "options dropped",
        "explainers/captum_method.py",
        "self.completed(method, x) | dict(self.options)",
        "self.completed(method, x)",
        CAPTUM,
    ),
]
