"""What Nayyem et al., 2024, https://arxiv.org/abs/2412.18952, report, and where that contradicts itself.

Accuracies in per cent, (baseline, refined); None where the paper gives no number.
"""

from __future__ import annotations

from typing import NamedTuple

Pair = tuple[float | None, float | None]


class Published(NamedTuple):
    """The numbers of one data set."""

    clean: Pair
    fgsm: dict[float, Pair]
    pgd: dict[float, Pair]


PUBLISHED: dict[str, Published] = {
    "CIFAR-10": Published(
        clean=(87.0, 85.0),
        fgsm={0.01: (54.29, 72.59), 0.03: (21.95, 50.05)},
        pgd={0.01: (44.06, 71.41), 0.03: (2.81, 39.15)},
    ),
    "CIFAR-100": Published(
        clean=(61.0, 55.0),
        fgsm={0.01: (30.41, 43.55), 0.03: (11.38, 24.62)},
        pgd={0.01: (27.61, 41.41), 0.03: (None, 19.25)},
    ),
}
NOTHING = Published((None, None), {}, {})

# CIFAR-10-C: the attack, its eps, and the corruptions that the text names.
CORRUPTED: dict[tuple[str, float], dict[str, Pair]] = {
    ("FGSM", 0.1): {"brightness": (9.98, 26.69), "impulse_noise": (8.40, 29.91)},
    ("FGSM", 0.3): {"contrast": (None, 17.03), "pixelate": (None, 15.21)},
    ("PGD", 0.01): {"brightness": (73.79, 90.72), "speckle_noise": (41.52, 89.32)},
    ("PGD", 0.03): {},
}
CORRUPTED_CLEAN: Pair = (75.0, 70.0)

# What contradicts what; the study says beside each what its own runs say of it, by the word in front.
INCONSISTENCIES: tuple[tuple[str, str], ...] = (
    (
        "above clean",
        "Refined, corrupted images, PGD 0.01: 90.72 %. That is above its own clean 85 % and its 70 % on corrupted "
        "images without any attack; PGD 0.03 gives 64 to 71 %, against 39.15 % on uncorrupted images.",
    ),
    ("baseline above", "Baseline, brightness, PGD 0.01: 73.79 %, against 44.06 % on uncorrupted images."),
    ("accuracy caption", "Fig. 2: refined 'consistently outperforms the baseline'; the text: 85 % against 87 %."),
    ("loss caption", "Fig. 3: refined has a 'significantly lower loss'; the text: it converges more slowly."),
    (
        "generalisation",
        "Abstract: 'significantly enhances … generalization to out-of-distribution data'; results: about 70 % on "
        "corrupted images, against 75 % of the baseline.",
    ),
    ("stability", "Contributions: 'feature attribution stability' improves; it is not measured anywhere."),
    ("leak", "LIME and the spurious features are computed on test images, which then steer training."),
    ("sets", "FGSM is configured for eps up to 0.1 and PGD for 0.03; the results have 0.01 to 0.3 for both."),
    (
        "literal rule",
        "'Spurious' is |beta| > tau or sensitive or unstable: that flags what matters most, and no criterion says "
        "what is irrelevant. The set is aggregated over the data set, while superpixels belong to an image.",
    ),
    ("nineteen", "'19 corruption types'; the standard report has 15, the others are extra. Severities are not stated."),
    (
        "no ablation",
        "No training by FGSM alone is compared, though such training reaches 77.7 % clean and 45.6 % under PGD-40 at "
        "8/255 in 15 epochs (Wong et al., 2020, as measured by others): more than the refined model.",
    ),
    ("one gradient", "PGD is printed with the gradient at x, not at x_t; forty equal steps would be FGSM."),
)
