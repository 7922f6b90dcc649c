"""Plant faults one by one and see that the tests catch each: python tests/faults/planted.py [--only N] [--jobs N]

A test that fails without any fault proves nothing: such tests are found first, told, and left out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src") / "glasshouse"

CONTRACT = "tests/contract/test_components.py"
ARCHITECTURE = "tests/architecture/test_architecture.py"
ATTACKS, EXPLANATIONS, OBJECTIVES, DETECTION, STATISTICS = (
    f"tests/oracles/test_{name}.py" for name in ("attacks", "explanations", "objectives", "detection", "statistics")
)
SPEC, TRAINING, RUN = (f"tests/stages/test_{name}.py" for name in ("spec", "training", "run"))


class Fault(NamedTuple):
    """What is wrong, in which file of the package, what stood there, what stands there, and who should notice."""

    name: str
    file: str
    original: str
    faulty: str
    test: str


FAULTS = [
    # text and components
    Fault("fields by position", "spec.py", "args=[], keywords=keywords", "keywords=keywords", SPEC),
    Fault("a field twice", "spec.py", "if len(set(given)) < len(given):", "if False:", SPEC),
    Fault("kinds unchecked", "spec.py", "    check(cls, name, value)\n    return value", "    return value", SPEC),
    Fault(
        "True is a whole number",
        "spec.py",
        "return isinstance(value, int) and not isinstance(value, bool)",
        "return isinstance(value, int)",
        SPEC,
    ),
    Fault("8/255 is 0", "spec.py", "ast.Div: operator.truediv", "ast.Div: operator.floordiv", SPEC),
    Fault("minus is lost", "spec.py", "return -_number(", "return _number(", SPEC),
    Fault("no longest text", "spec.py", "if len(text) > _LONGEST:", "if False:", SPEC),
    Fault("powers", "spec.py", "ast.Sub: operator.sub,", "ast.Sub: operator.sub, ast.Pow: operator.pow,", SPEC),
    Fault("tuples grow", "spec.py", "*component[i + 1 :])", "*component[i:])", SPEC),
    Fault(
        "any method will do",
        "spec.py",
        "positional(getattr(cls, m)) == positional(getattr(protocol, m))",
        "True",
        SPEC,
    ),
    Fault("defaults for all", "spec.py", "return field.default is MISSING and", "return False and", SPEC),
    Fault("names may be taken", "registry.py", "if name in found:", "if False:", SPEC),
    Fault("half imported", "registry.py", "        del sys.modules[name]", "        pass", SPEC),
    Fault("hidden classes too", "registry.py", 'if not k.startswith("_") and is_frozen(v)', "if is_frozen(v)", SPEC),
    Fault("two arms of a name", "recipe.py", "require(self, folder not in folders,", "require(self, True,", SPEC),
    # borrowed models
    Fault("modes not given back", "modes.py", "module.training = training", "pass", CONTRACT),
    Fault("one mode for all", "modes.py", "module.training = training", "model.train(modes[0][1])", CONTRACT),
    Fault(
        "all trainable",
        "modes.py",
        "parameter.requires_grad_(requires_grad)",
        "parameter.requires_grad_(True)",
        CONTRACT,
    ),
    Fault("no clone downstream", "modes.py", "return output.clone()", "return output", CONTRACT),
    Fault("hook stays", "modes.py", "        handle.remove()", "        pass", CONTRACT),
    Fault(
        "always frozen",
        "modes.py",
        "with evaluating(model) if create_graph else frozen(model):",
        "with frozen(model):",
        CONTRACT,
    ),
    Fault("hooks stay", "explainers/grad_cam.py", "            handle.remove()", "            pass", CONTRACT),
    # explanations
    Fault(
        "mean of scores",
        "explainers/gradient.py",
        "scores.gather(1, target[:, None]).sum()",
        "scores.gather(1, target[:, None]).mean()",
        CONTRACT,
    ),
    Fault("no graph under no_grad", "explainers/gradient.py", "with torch.enable_grad():", "if True:", CONTRACT),
    Fault(
        "the caller's x",
        "explainers/gradient.py",
        "x = x.detach().requires_grad_()",
        "x = x.requires_grad_()",
        CONTRACT,
    ),
    Fault("graph dropped", "explainers/gradient.py", "x, create_graph=create_graph)[0]", "x)[0]", CONTRACT),
    Fault("no relu", "explainers/grad_cam.py", ".sum(1).relu()", ".sum(1)", EXPLANATIONS),
    Fault(
        "scaled by the batch",
        "explainers/grad_cam.py",
        "cam = grad_cam(activation, gradient)\n",
        "cam = grad_cam(activation, gradient) / (1 + gradient.sum())\n",
        CONTRACT,
    ),
    Fault("kernel not rooted", "explainers/lime.py", "/ width**2).exp().sqrt()", "/ width**2).exp()", EXPLANATIONS),
    Fault(
        "ridge doubled",
        "explainers/lime.py",
        "centred + ridge * torch.eye",
        "centred + 2 * ridge * torch.eye",
        EXPLANATIONS,
    ),
    Fault("intercept of the means", "explainers/lime.py", "(v_mean - (z_mean * beta).sum(1))", "v_mean", EXPLANATIONS),
    Fault("first masking is random", "explainers/lime.py", "        drawn[0] = 0\n", "", EXPLANATIONS),
    Fault(
        "maskings depend on neighbours",
        "explainers/lime.py",
        "torch.stack([torch.rand(self.samples, generator=generator) for _ in range(size)], 1)",
        "torch.rand(self.samples, size, generator=generator)",
        CONTRACT,
    ),
    Fault(
        "on is off",
        "explainers/lime.py",
        "torch.lerp(filled[i], x[i], keep)",
        "torch.lerp(x[i], filled[i], keep)",
        EXPLANATIONS,
    ),
    Fault("labels from 1", "explainers/superpixels.py", "start_label=0", "start_label=1", CONTRACT),
    Fault(
        "columns before rows",
        "explainers/superpixels.py",
        "rows[:, None] * self.cells + columns",
        "columns * self.cells + rows[:, None]",
        EXPLANATIONS,
    ),
    Fault(
        "explains as it is",
        "explainers/gradient.py",
        "with borrowed(model, create_graph):",
        "with torch.enable_grad():",
        CONTRACT,
    ),
    # attacks
    Fault(
        "no projection",
        "attacks/pgd.py",
        "delta = self.ball.project(x_adv.detach() - x + step)",
        "delta = x_adv.detach() - x + step",
        CONTRACT,
    ),
    Fault("descends", "attacks/pgd.py", "- x + step)", "- x - step)", CONTRACT),
    Fault(
        "beyond white", "attacks/pgd.py", "        return (x + delta).clamp(0, 1)", "        return x + delta", CONTRACT
    ),
    Fault(
        "no graph under no_grad",
        "attacks/pgd.py",
        "with frozen(model), torch.enable_grad():",
        "with frozen(model):",
        CONTRACT,
    ),
    Fault(
        "attacks as it is",
        "attacks/pgd.py",
        "with frozen(model), torch.enable_grad():",
        "with torch.enable_grad():",
        CONTRACT,
    ),
    Fault("whole step at once", "attacks/pgd.py", "step = 1.25 if self.random_start else 1.0", "step = 1.0", ATTACKS),
    Fault("steps on any scale", "attacks/pgd.py", "self.step_size * self.ball.eps *", "self.step_size *", ATTACKS),
    Fault(
        "one norm for the batch",
        "attacks/balls.py",
        "return delta.flatten(1).norm(dim=1)",
        "return delta.norm().expand(len(delta))",
        ATTACKS,
    ),
    Fault(
        "not the sign", "attacks/balls.py", "return gradient.sign()", "return gradient / gradient.abs().amax()", ATTACKS
    ),
    Fault("starts anywhere", "attacks/balls.py", "return self.eps * radius *", "return radius *", ATTACKS),
    Fault(
        "changes leak out",
        "attacks/regions.py",
        "return window.clip(attacked(self.attack, window, batch))",
        "return attacked(self.attack, window, batch)",
        CONTRACT,
    ),
    Fault("sees everything", "attacks/regions.py", "return self.model(self.clip(x))", "return self.model(x)", ATTACKS),
    Fault("evidence is spurious", "attacks/regions.py", "return ~batch.mask", "return batch.mask", OBJECTIVES),
    Fault(
        "inside out",
        "attacks/regions.py",
        "(~inside if self.outside else inside)",
        "(inside if self.outside else ~inside)",
        ATTACKS,
    ),
    # metrics
    Fault("least probable", "metrics/accuracy.py", "model(x).argmax(1) == y", "model(x).argmin(1) == y", ATTACKS),
    Fault(
        "attack all",
        "metrics/accuracy.py",
        "right[right.clone()] = correct(model, attacked(self.attack, model, standing), standing.y)",
        "right = correct(model, attacked(self.attack, model, batch), batch.y)",
        ATTACKS,
    ),
    Fault(
        "negative mass",
        "metrics/localisation.py",
        "batch.attribution.clamp_min(0)",
        "batch.attribution.abs()",
        EXPLANATIONS,
    ),
    # objectives
    Fault(
        "weights not shared out",
        "objectives/cross_entropy.py",
        "/ batch.weight.sum().clamp_min(1e-12)",
        "/ len(losses)",
        OBJECTIVES,
    ),
    Fault(
        "channels cancel",
        "objectives/sensitivity.py",
        "gradient.square().sum(1)",
        "gradient.sum(1).square()",
        OBJECTIVES,
    ),
    Fault(
        "training mode", "objectives/sensitivity.py", "with evaluating(model):", "with torch.enable_grad():", OBJECTIVES
    ),
    Fault(
        "no second order",
        "objectives/sensitivity.py",
        "create_graph=True, probability=True)",
        "probability=True)",
        CONTRACT,
    ),
    Fault(
        "large regions count more",
        "objectives/sensitivity.py",
        "return sums.sum() / (area > 0).sum().clamp_min(1)",
        "return (values * region).sum() / region.sum().clamp_min(1)",
        OBJECTIVES,
    ),
    Fault(
        "descends the dual", "objectives/sensitivity.py", "exp(self.rate * max(", "exp(-self.rate * max(", OBJECTIVES
    ),
    Fault(
        "terms replace each other",
        "objectives/combine.py",
        "total[name] + value if name in total else value",
        "value",
        OBJECTIVES,
    ),
    Fault(
        "nothing advances",
        "objectives/combine.py",
        "return replace(self, terms=tuple(advanced(objective, terms) for objective in self.terms))",
        "return self",
        OBJECTIVES,
    ),
    Fault(
        "every image masked",
        "objectives/changes.py",
        "region = spurious(batch) & chosen(batch, self.share)",
        "region = spurious(batch)",
        OBJECTIVES,
    ),
    Fault(
        "unweighted attack term",
        "objectives/adversarial.py",
        "self.weight * weighted_cross_entropy",
        "weighted_cross_entropy",
        OBJECTIVES,
    ),
    # detection
    Fault(
        "no deviation",
        "detectors/criteria.py",
        "rise = rises.mean(2) - rises.std(2)",
        "rise = rises.mean(2) + 0 * rises.std(2)",
        DETECTION,
    ),
    Fault(
        "the same class",
        "detectors/criteria.py",
        "differs = y[:, None] != pool[None]",
        "differs = y[:, None] == pool[None]",
        DETECTION,
    ),
    Fault("odds against all", "detectors/criteria.py", "-torch.inf).logsumexp", "0.0).logsumexp", DETECTION),
    Fault(
        "any level",
        "detectors/criteria.py",
        "rise / (own - level).clamp_min(1)[:, None]",
        "rise / (own - level)[:, None]",
        DETECTION,
    ),
    Fault(
        "signed sensitivity",
        "detectors/criteria.py",
        "gradient.abs().mean(1, keepdim=True)",
        "gradient.mean(1, keepdim=True)",
        DETECTION,
    ),
    Fault("1 is not enough", "detectors/findings.py", "return self.score >= 1", "return self.score > 1", DETECTION),
    Fault(
        "findings forgotten",
        "detectors/findings.py",
        "score=torch.maximum(self.score, earlier.score)",
        "score=self.score",
        DETECTION,
    ),
    Fault(
        "everything is new",
        "detectors/findings.py",
        "new = self.flagged & ~earlier.flagged",
        "new = self.flagged",
        DETECTION,
    ),
    Fault("moved to nowhere", "detectors/findings.py", ".masked_fill(~exists, -1).argsort", ".argsort", DETECTION),
    Fault(
        "the neighbour's mask",
        "detectors/findings.py",
        "return torch.where(known, own, findings.by_class[batch.y] >= 1)",
        "return own",
        DETECTION,
    ),
    Fault(
        "own flags and the class's",
        "detectors/findings.py",
        "return torch.where(known, own, findings.by_class[batch.y] >= 1)",
        "return (own & known) | (findings.by_class[batch.y] >= 1)",
        DETECTION,
    ),
    Fault(
        "mask inside out",
        "detectors/findings.py",
        "return batch._replace(mask=~(",
        "return batch._replace(mask=(",
        DETECTION,
    ),
    Fault(
        "the data's own masks",
        "detectors/findings.py",
        "        nothing = torch.zeros(",
        "        if self.findings is None:\n            return batch\n        nothing = torch.zeros(",
        DETECTION,
    ),
    Fault("ties win", "detectors/findings.py", "(last - (count - 1) / 2)[inverse]", "last[inverse]", DETECTION),
    Fault(
        "half is most",
        "detectors/findings.py",
        "findings.segments, size)[:, 0] > 0.5",
        "findings.segments, size)[:, 0] >= 0.5",
        DETECTION,
    ),
    Fault(
        "bar of the missing",
        "detectors/thresholds.py",
        "values.masked_fill(~exists, torch.nan).nanquantile",
        "values.nanquantile",
        DETECTION,
    ),
    Fault(
        "numbers of the subset",
        "detectors/spurious.py",
        "index = chosen_index(chosen)",
        "index = torch.arange(len(chosen))",
        DETECTION,
    ),
    Fault(
        "sums for means",
        "detectors/spurious.py",
        "by_class = sums / one_hot.sum(0).clamp_min(1).view(-1, 1, 1)",
        "by_class = sums",
        DETECTION,
    ),
    Fault(
        "inside is outside",
        "detectors/rules.py",
        "torch.where(outside > self.outside,",
        "torch.where(outside <= self.outside,",
        DETECTION,
    ),
    # statistics
    Fault("another interval", "statistics.py", 'method="wilson"', 'method="exact"', STATISTICS),
    Fault(
        "one-sided",
        "statistics.py",
        "better + worse).pvalue",
        'better + worse, alternative="greater").pvalue',
        STATISTICS,
    ),
    Fault("p of zero", "statistics.py", "return (larger + 1) / (draws + 1)", "return larger / draws", STATISTICS),
    Fault("one tail", "statistics.py", "np.abs(signs @ difference)", "(signs @ difference)", STATISTICS),
    Fault(
        "not monotone",
        "statistics.py",
        "largest = max(largest, min(1.0, (len(p) - rank) * p[i]))",
        "largest = min(1.0, (len(p) - rank) * p[i])",
        STATISTICS,
    ),
    Fault("any samples", "statistics.py", "if a.shape != b.shape:", "if False:", STATISTICS),
    Fault("90 percent", "statistics.py", "stats.t.ppf(0.975,", "stats.t.ppf(0.95,", STATISTICS),
    # training
    Fault("one order for all epochs", "train.py", "order = seed * 1_000_003 + epoch", "order = seed", TRAINING),
    Fault("draws go on", "train.py", "        with seeded_globally(seed, epoch):", "        if True:", TRAINING),
    Fault("gradients add up", "train.py", "optimizer.zero_grad(set_to_none=True)", "pass", TRAINING),
    Fault("NaN is fine", "train.py", "if not values.isfinite().all():", "if False:", TRAINING),
    Fault("rate rises", "train.py", "0.5 * (1 + math.cos(", "0.5 * (1 - math.cos(", TRAINING),
    Fault(
        "training mode stays", "train.py", "    model.eval()\n    return objective", "    return objective", TRAINING
    ),
    Fault(
        "objective stays",
        "train.py",
        "        objective = advanced(objective, means(log)) if log else objective\n",
        "",
        TRAINING,
    ),
    Fault(
        "NaN in JSON", "run.py", "return None if isinstance(value, float)", "return 0 if isinstance(value, float)", RUN
    ),
    Fault(
        "a region forgets the mask",
        "attacks/regions.py",
        "window.clip(attacked(self.attack, window, batch))",
        "window.clip(self.attack(window, batch.x, batch.y))",
        ATTACKS,
    ),
    # the run directory
    Fault("fresh optimizer", "store.py", '{"state": entries,', '{"state": {},', TRAINING),
    Fault("log grows", "store.py", 'file.truncate(int(told["log"]))', "pass", TRAINING),
    Fault("an epoch again", "store.py", '"epoch": str(state.epoch)', '"epoch": str(state.epoch - 1)', TRAINING),
    Fault("first objective again", "store.py", 'parse(told["objective"], names)', "objective", TRAINING),
    Fault("state stays", "store.py", "        self.state.unlink(missing_ok=True)", "        pass", TRAINING),
    Fault(
        "damage is a traceback",
        "store.py",
        "except (SafetensorError, OSError) as error",
        "except OSError as error",
        TRAINING,
    ),
    Fault("any recipe", "store.py", "if parsed(file, names) != recipe:", "if False:", RUN),
    Fault("any folder", "store.py", "if out.is_dir() and any(out.iterdir()):", "if False:", RUN),
    Fault(
        "folders anywhere",
        "recipe.py",
        'return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "arm"',
        "return name",
        RUN,
    ),
    # the run and the closed loop
    Fault("masks not moved", "run.py", "findings = moved(kept, ", "findings = (lambda k, _: k)(kept, ", RUN),
    Fault("random masks are none", "run.py", "if arm.random_masks:", "if False:", RUN),
    Fault(
        "controls see the data's masks",
        "run.py",
        "samples = Masked(self.outcome.train, findings)",
        "samples = self.outcome.train",
        RUN,
    ),
    Fault(
        "arms from scratch",
        "run.py",
        'model.load_state_dict(self.outcome.models["baseline"].state_dict())',
        "pass",
        RUN,
    ),
    Fault(
        "seeds by path",
        "run.py",
        "salted(self.recipe.seed, stage.folder.name)",
        "salted(self.recipe.seed, str(stage.folder))",
        RUN,
    ),
    Fault(
        "one seed for all rounds",
        "run.py",
        "return (seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31",
        "return seed",
        RUN,
    ),
    Fault("everything again", "run.py", "if done is not None:", "if False:", RUN),
    Fault(
        "detection on test images",
        "run.py",
        "detector.fit(model, self.work.outcome.train,",
        "detector.fit(model, self.work.outcome.test,",
        RUN,
    ),
    Fault("NaN logits", "run.py", "if not logits.isfinite().all():", "if False:", RUN),
    Fault("measured again", "run.py", "            if values is None:", "            if True:", RUN),
    Fault("explains the label", "evaluate.py", "predicted = model(batch.x).argmax(1)", "predicted = batch.y", RUN),
    Fault("one seed for all", "evaluate.py", "seeded_globally(seed, i)", "seeded_globally(0, i)", RUN),
    Fault("rounds do not add up", "refine.py", "seen.joined(kept[-1]) if kept else seen", "seen", RUN),
    Fault("never converges", "refine.py", "if kept and joined.new_since(kept[-1]) <= tolerance:", "if False:", RUN),
    Fault("last look lost", "refine.py", "return [*kept, seen]", "return kept", RUN),
    # the shape of the library
    Fault(
        "upwards",
        "explainers/lime.py",
        "from ..modes import borrowed",
        "from ..modes import borrowed\nfrom .. import attacks as _",
        ARCHITECTURE,
    ),
    Fault(
        "prints",
        "train.py",
        "    optimizer = training.optimizer(",
        "    print(seed)\n    optimizer = training.optimizer(",
        ARCHITECTURE,
    ),
    Fault(
        "reads a file",
        "objectives/combine.py",
        "    advance = getattr(",
        "    open(__file__).close()\n    advance = getattr(",
        ARCHITECTURE,
    ),
    Fault(
        "unpickles",
        "store.py",
        "with np.load(path, allow_pickle=False) as archive:",
        "with np.load(path, allow_pickle=True) as archive:",
        ARCHITECTURE,
    ),
]


@contextmanager
def planted(*faults: Fault) -> Iterator[Path]:
    """A copy of the project, with faults."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / "pyproject.toml", root)
        for fault in faults:
            file = root / PACKAGE / fault.file
            file.write_text(file.read_text().replace(fault.original, fault.faulty, 1))
        yield root


def checked(root: Path, *targets: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The tests of a copy, on that copy."""
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *targets, *options]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def failing(target: str) -> list[str]:
    """The tests of a file that fail without any fault."""
    with planted() as root:
        # A name may hold spaces, and what went wrong follows after a dash.
        return re.findall(
            r"^FAILED (\S+::\w+(?:\[.*?\])?)(?: - .*)?$", checked(root, target, options=("-rf",)).stdout, re.MULTILINE
        )


def caught(fault: Fault, known: list[str]) -> bool:
    """Whether a test that passes without the fault fails with it."""
    with planted(fault) as root:
        return checked(root, fault.test, options=("-x", *(f"--deselect={name}" for name in known))).returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, help="the number of a single fault")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    numbers = range(len(FAULTS)) if chosen.only is None else [chosen.only]
    targets = sorted({FAULTS[n].test for n in numbers})
    with ThreadPoolExecutor(chosen.jobs) as pool:
        known = dict(zip(targets, pool.map(failing, targets), strict=True))
        for target, names in known.items():
            print(f"{target}: {len(names)} fail without any fault and are left out", flush=True)
        survived = 0
        results = pool.map(lambda n: caught(FAULTS[n], known[FAULTS[n].test]), numbers)
        for n, killed in zip(numbers, results, strict=True):
            survived += not killed
            print("KILLED  " if killed else "SURVIVED", f"{n:3}", FAULTS[n].file, "|", FAULTS[n].name, flush=True)
    print(f"{len(numbers) - survived} of {len(numbers)} killed")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
