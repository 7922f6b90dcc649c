"""What Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, report, and what contradicts what in it."""

from __future__ import annotations

from typing import NamedTuple

from . import hierarchical_ways as ways


class Published(NamedTuple):
    """A column of table I or II; fooling in per cent of all images, whether they were right before or not."""

    rho_2: float
    rho_1: float
    rho_inf: float
    fooling: float


TABLE_I: dict[str, Published] = {
    ways.LRP.format(10): Published(0.0294, 0.0216, 0.0399, 87.1),
    ways.LRP.format(20): Published(0.0323, 0.0174, 0.0778, 92.5),
    ways.LRP.format(40): Published(0.0405, 0.0195, 0.1557, 99.3),
    ways.DEEPFOOL: Published(0.0045, 0.0031, 0.0408, 100),
    ways.SMALL_PGD: Published(0.0262, 0.0224, 0.0101, 100),
}
TABLE_II: dict[str, Published] = {
    ways.LRP.format(10): Published(0.0127, 0.0084, 0.0241, 98.7),
    ways.LRP.format(20): Published(0.0145, 0.0079, 0.0542, 100),
    ways.LRP.format(40): Published(0.0151, 0.0066, 0.0819, 100),
    ways.DEEPFOOL: Published(0.0020, 0.0013, 0.0029, 100),
    ways.SMALL_PGD: Published(0.0078, 0.0092, 0.0035, 95.7),
}
PUBLISHED = {"coarse": TABLE_I, "fine": TABLE_II}
NUMBERED = {"coarse": "Table I", "fine": "Table II"}

# What contradicts what; the study says beside each what its own runs say of it, by the word in front.
INCONSISTENCIES: tuple[tuple[str, str], ...] = (
    (
        "inert",
        "For p = 1, eqs. 7 and 9 are the sum of the original class's relevance less that of the adversarial one. Eq. 3 "
        "starts both from 1, and the rules of eqs. 4 and 5 keep sums: the loss is 0 at every image, without a slope.",
    ),
    (
        "margin",
        "Started from the logit, as in the code that the formulas come from, the same loss is the difference of the "
        "two logits: an attack without any explanation in it.",
    ),
    (
        "negative",
        "'Both positive and negative relevance scores' are manipulated; the rules of eqs. 4 and 5 give no negative "
        "relevance for pixels in their range.",
    ),
    (
        "monotone",
        "Table I: rho_1 of LRPC is 0.0216, 0.0174, 0.0195, table II: 0.0084, 0.0079, 0.0066 of LRPF, for eps 10, 20, "
        "40, while the other two rise. That a looser clip ends sooner would explain it, but not 'as perturbation "
        "increases (via higher eps)'.",
    ),
    (
        "counting",
        "An image counts as fooled if its label after an update is not the true one; 4 % (coarse) and 10 to 22 % "
        "(fine) are wrong before any update.",
    ),
    (
        "comparable",
        "'LRPC achieves perceptibility comparable to PGDC in both' l1 and l∞; table I: rho_inf is 4 to 15 times "
        "PGDC's (0.0399 to 0.1557 against 0.0101).",
    ),
    (
        "scales",
        "rho_inf = 0.0101 means that PGDC moves no pixel by more than 2.6 of 255; on photographs rho_2 could then "
        "hardly be above 0.021, and is 0.0262. PGDF's 0.0035 allows about 0.0073 and is 0.0078.",
    ),
    (
        "peak",
        "The largest change over the size is 9 for DFC (rho_inf 0.0408, rho_2 0.0045) and 1.5 for DFF (0.0029, "
        "0.0020), where both are one algorithm: a digit may be missing.",
    ),
    (
        "imperceptible",
        "'Without compromising attack imperceptibility' and 'we allow for greater perturbation' are of one text; eps = "
        "40 of 255 is five times what is usual for l∞.",
    ),
    (
        "measured",
        "Explainability is the claim, and no table has a measure of it.",
    ),
    (
        "algorithm",
        "Algorithm 1 clips an undefined v where its text takes the smaller of eps and eta; its labels are given, where "
        "the text takes them from the model; eqs. 6 and 8 take the adversarial class from the untouched image, where "
        "the text lets it change.",
    ),
    (
        "names",
        "FGSM and PGD work 'within an l1 ball' in the introduction, PGD with p = ∞ in the experiments; the bird of "
        "fig. 2 is a bunting in the caption and an indigo in the text.",
    ),
)
