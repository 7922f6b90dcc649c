"""Faults in adversarial training: losses that leave something out, weights that are not where they seem."""

from __future__ import annotations

from fault import Fault

HARDENING = "tests/oracles/test_adversarial_training.py"
KEPT = "tests/stages/test_kept.py"
TRAINING = "tests/stages/test_training.py"

MOVED = "objectives/weight_perturbation.py"

FAULTS = [
    # TRADES and its attack
    Fault(
        "KL the other way round",
        "attacks/kl_pgd.py",
        "F.kl_div(logits.log_softmax(1), clean.log_softmax(1),",
        "F.kl_div(clean.log_softmax(1), logits.log_softmax(1),",
        HARDENING,
    ),
    Fault("no noise", "attacks/kl_pgd.py", "self.noise * images.draws", "0 * images.draws", HARDENING),
    Fault("attack in training mode", "attacks/kl_pgd.py", "with frozen(model), torch", "with torch", HARDENING),
    Fault(
        "the clean prediction is given",
        "objectives/trades.py",
        "divergence(clean, robust)",
        "divergence(clean.detach(), robust)",
        HARDENING,
    ),
    Fault(
        "TRADES forgets the mask",
        "objectives/trades.py",
        "attacked(self.attack, model, batch)",
        "self.attack(model, batch.x, batch.y)",
        HARDENING,
    ),
    Fault(
        "TRADES without sample weights",
        "objectives/trades.py",
        "weighted_mean(divergence(clean, robust), batch)",
        "divergence(clean, robust).mean()",
        HARDENING,
    ),
    # MART
    Fault(
        "the rival may be right", "objectives/mart.py", "logits.scatter(1, y[:, None], -torch.inf)", "logits", HARDENING
    ),
    Fault(
        "missed by the attacked", "objectives/mart.py", "1 - at(clean.softmax(1)", "1 - at(robust.softmax(1)", HARDENING
    ),
    Fault(
        "a factor without slope", "objectives/mart.py", "at(clean.softmax(1)", "at(clean.detach().softmax(1)", HARDENING
    ),
    # adversarial weight perturbation
    Fault("weights go down", MOVED, "weight + step for", "weight - step for", HARDENING),
    Fault(
        "gradients stay in place",
        MOVED,
        "weight + step for",
        "(weight + step).detach().requires_grad_() for",
        HARDENING,
    ),
    Fault("biases move", MOVED, "weight.requires_grad and weight.ndim > 1", "weight.requires_grad", HARDENING),
    Fault("statistics twice", MOVED, ", buffers_aside(model):", ":", HARDENING),
    Fault("one length for all", MOVED, "direction * (weight.norm() /", "direction * (1 /", HARDENING),
    Fault(
        "draws go on in the second pass",
        MOVED,
        "with torch.random.fork_rng(",
        "with contextmanager(lambda devices: iter([0]))(",
        HARDENING,
    ),
    Fault("hooks stay", MOVED, "            hook.remove()", "            pass", HARDENING),
    Fault("two attacks", MOVED, 'if not hasattr(objective, "given"):', "if True:", HARDENING),
    Fault("shared weights part", MOVED, "remove_duplicate=False", "remove_duplicate=True", HARDENING),
    Fault("no warm-up", MOVED, "if self.done < self.warmup:", "if False:", HARDENING),
    # the ramp
    Fault(
        "never arrives", "objectives/ramp.py", "done = min(self.done + 1, self.epochs)", "done = self.done", HARDENING
    ),
    Fault(
        "from zero always", "objectives/ramp.py", "value = self.start + (full - self.start)", "value = full", HARDENING
    ),
    Fault(
        "what is inside stays",
        "objectives/ramp.py",
        "objective=advanced(self.objective, terms)",
        "objective=self.objective",
        HARDENING,
    ),
    # which weights come out
    Fault("average from the beginning", "kept.py", "min(decay, step / (step + 9))", "min(decay, step)", KEPT),
    Fault(
        "statistics are not averaged",
        "kept.py",
        "if before.is_floating_point():",
        'if "running" not in name and before.is_floating_point():',
        KEPT,
    ),
    Fault("the latest of equals", "kept.py", "value > float(", "value >= float(", KEPT),
    Fault("the worst", "kept.py", "value > float(", "value < float(", KEPT),
    Fault("the average trains", "kept.py", "            self.put(own)", "            pass", KEPT),
    Fault("raw weights are measured", "kept.py", "            self.put(average)", "            pass", KEPT),
    Fault("the best is no copy", "kept.py", "weight.detach().clone() for k", "weight.detach() for k", KEPT),
    Fault("the last comes out", "train.py", "    kept.put_final()\n", "", KEPT),
    Fault("the best is forgotten", "train.py", "        kept.restore(tensors)\n", "        pass\n", KEPT),
    Fault("nothing is kept", "store.py", "for k, v in state.kept.items()}", "for k, v in {}.items()}", KEPT),
    Fault("the last epoch is not measured", "train.py", " or epoch + 1 == self.epochs", "", KEPT),
    Fault(
        "every batch draws on",
        "weighting/reweighting.py",
        "    with seeded_globally(seed, 0):\n        return value().detach()",
        "    return value().detach()",
        KEPT,
    ),
    Fault("measuring draws", "train.py", "with frozen(model), seeded_globally(seed, 0):", "with frozen(model):", KEPT),
    Fault("selects on test", "train.py", 'return data("validation") if', 'return data("test") if', KEPT),
    Fault(
        "selects in the baseline only",
        "run.py",
        "                validation=self.outcome.validation,",
        "                validation=self.outcome.validation if 'baseline' in name else self.outcome.train,",
        KEPT,
    ),
    # the learning rate
    Fault("a step too late", "optimizers.py", "epoch >= at for", "epoch > at for", TRAINING),
    Fault(
        "a constant rate falls",
        "train.py",
        "1.0 if training.schedule is None",
        "0.5 if training.schedule is None",
        TRAINING,
    ),
]
