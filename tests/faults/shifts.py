"""Faults in relevance before and after attacks: whose it is, how it is drawn, what the page of an attack says."""

from __future__ import annotations

from fault import Fault

SHOWN = "tests/stages/test_relevance_shifts.py"
SHIFTS, FIGURE, LEVELS = "shifts.py", "report/shift_figure.py", "report/two_levels.py"
ATTACKED, PAGE = "report/attacked.py", "report/attacked_page.py"

FAULTS = [
    # what is computed
    Fault(
        "classes of the other level",
        SHIFTS,
        "hierarchy.fine if self.fine else",
        "hierarchy.coarse if self.fine else",
        SHOWN,
    ),
    Fault("level of the model's own superclass", SHIFTS, "levels(x, labels.coarse)", "levels(x)", SHOWN),
    Fault("parts of the adversarial class", SHIFTS, "targets[part.where])", "targets[part.where].flip(1))", SHOWN),
    Fault("channels lost", SHIFTS, "x, targets).map.sum(2)", "x, targets).map[:, :, 0]", SHOWN),
    Fault("scores are logits", SHIFTS, "look.logits.softmax(1).gather", "look.logits.gather", SHOWN),
    Fault(
        "relevance of the untouched image",
        SHIFTS,
        "self.relevance(look.x, labels, targets)",
        "self.relevance(0 * look.x, labels, targets)",
        SHOWN,
    ),
    Fault(
        "last success is shared",
        SHIFTS,
        "reversed(list(zip(looks, best[1:], strict=True)))",
        "list(zip(looks, best[1:], strict=True))",
        SHOWN,
    ),
    Fault(
        "one adversarial class for all",
        SHIFTS,
        "[torch.where(look.met, ended, shared) for look, ended",
        "[shared for look, ended",
        SHOWN,
    ),
    Fault("failure has its own rival", SHIFTS, "shared) for look, ended", "ended) for look, ended", SHOWN),
    Fault(
        "runner-up is the winner", SHIFTS, "logits.scatter(1, own[:, None], -torch.inf).max(1)", "logits.max(1)", SHOWN
    ),
    Fault("alone against nothing", SHIFTS, "if alone := int((others == -torch.inf).sum()):", "if alone := 0:", SHOWN),
    Fault("titles of the first batch", SHIFTS, "known, called[part])", "known, called)", SHOWN),
    Fault(
        "training mode",
        SHIFTS,
        "        with frozen(self.model):\n",
        "        with torch.no_grad(), frozen(nn.Identity()):\n",
        SHOWN,
    ),
    Fault("minus nothing", SHIFTS, "clamp_max(0).sum().abs()", "clamp_max(0).sum().neg()", SHOWN),
    # how it is drawn
    Fault(
        "scale of another row",
        FIGURE,
        "torch.stack([moment.relevance[k] for moment in moments])",
        "moments[0].relevance[0]",
        SHOWN,
    ),
    Fault("the largest value alone", FIGURE, "SATURATED = 0.995", "SATURATED = 1.0", SHOWN),
    Fault("white off zero", FIGURE, '"vmin": -reach', '"vmin": 0.0', SHOWN),
    Fault("colours turned", FIGURE, "[AGAINST, (1, 1, 1), FOR]", "[FOR, (1, 1, 1), AGAINST]", SHOWN),
    Fault("another class untold", FIGURE, 'f"{told}\\nof {short(moment.classes[k])}"', "told", SHOWN),
    Fault(
        "image before beside all", FIGURE, "Cell(photo(moment.x), scored", "Cell(photo(shift.before.x), scored", SHOWN
    ),
    Fault("factor untrue", FIGURE, "photo(0.5 + factor * delta)", "photo(0.5 + delta)", SHOWN),
    Fault(
        "factor of many digits", FIGURE, "factor = rounded(0.5 / scale(delta))", "factor = 0.5 / scale(delta)", SHOWN
    ),
    Fault("names overlap", FIGURE, "name[: length - 1]", "name[: length + 30]", SHOWN),
    Fault("aim over the name", FIGURE, "pad=14 if told else 6", "pad=6", SHOWN),
    Fault("names are formulas", FIGURE, '"text.parse_math": False', '"text.parse_math": True', SHOWN),
    Fault("aim untold of the first", FIGURE, 'WRONG[shift.level] if moment.met else ""', '""', SHOWN),
    # the page of an attack
    Fault(
        "always the coarse level",
        "attacks/levels.py",
        'getattr(attack, "criterion", CoarseChanges())',
        "CoarseChanges()",
        SHOWN,
    ),
    Fault("after as before", LEVELS, "for seen in (found.x, found.x_adv))", "for seen in (found.x, found.x))", SHOWN),
    Fault("met before", LEVELS, "reached(model, criterion, found.x_adv,", "reached(model, criterion, found.x,", SHOWN),
    Fault("wrong ones count", LEVELS, "int((found.right & found.met).sum())", "int(found.met.sum())", SHOWN),
    Fault("wrong ones changed", LEVELS, "if not found.right[i]:", "if found.right[i] is None:", SHOWN),
    Fault(
        "not broken first",
        LEVELS,
        "found.order[rivalled(levels)[found.order]]",
        "torch.arange(len(found.x))[rivalled(levels)]",
        SHOWN,
    ),
    Fault("all explained", LEVELS, "[found.order]][:DRAWN]", "[found.order]]", SHOWN),
    Fault("no rule breaks the page", LEVELS, "except ValueError as error", "except KeyError as error", SHOWN),
    Fault(
        "alone among others breaks all",
        LEVELS,
        "(sizes[found.own] > 1) | (not found.fine)",
        "(sizes[found.own] > 0) | (not found.fine)",
        SHOWN,
    ),
    Fault(
        "columns turned",
        ATTACKED,
        "names[int(levels.before[i])], names[int(levels.after[i])]",
        "names[int(levels.after[i])], names[int(levels.before[i])]",
        SHOWN,
    ),
    Fault("columns of all models", ATTACKED, "COLUMNS + (COARSE if found.levels else ())", "COLUMNS + COARSE", SHOWN),
    Fault(
        "class without superclass",
        PAGE,
        "        now = two_levels.path(",
        "        now = now or two_levels.path(",
        SHOWN,
    ),
    Fault(
        "level untold",
        "titles.py",
        'f"{attack_name(attack.attack)} on the {level} level"',
        "attack_name(attack.attack)",
        SHOWN,
    ),
]
