"""What Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600, report, and where that contradicts itself."""

from __future__ import annotations

from typing import NamedTuple

from . import consistency_ways as ways


class Published(NamedTuple):
    """A row of table I or IV; accuracy in per cent, mIoU as a share; None where the paper gives no number."""

    accuracy: float | None
    miou: tuple[float | None, float | None, float | None]  # by XGrad-CAM, Grad-CAM, Ablation-CAM


Rows = dict[str, Published]

TABLE_I: dict[str, Rows] = {
    "ResNet-50": {
        ways.BASELINE: Published(45.72, (0.0938, 0.0938, 0.1239)),
        ways.HNM: Published(44.89, (0.1198, 0.1198, 0.1402)),
        ways.FL: Published(45.10, (0.1046, 0.1042, 0.1236)),
        ways.EFL: Published(44.54, (0.1067, 0.1068, 0.1174)),
        ways.XGRAD: Published(46.41, (0.1285, 0.1285, 0.1456)),
        ways.EIGEN: Published(46.48, (0.1254, 0.1254, 0.1498)),
    },
    "MobileNetV2": {
        ways.BASELINE: Published(53.31, (0.1967, 0.1967, 0.2123)),
        ways.HNM: Published(53.69, (0.1971, 0.1971, 0.2106)),
        ways.FL: Published(53.38, (0.1988, 0.1988, 0.2112)),
        ways.EFL: Published(53.45, (0.1973, 0.1973, 0.2099)),
        ways.XGRAD: Published(55.80, (0.1990, 0.1990, 0.2125)),
        ways.EIGEN: Published(55.32, (0.1974, 0.1975, 0.2128)),
    },
}
# icCNN on CUB-200-2011, tables IV and V; mIoU as a share here.
TABLE_IV: Rows = {
    ways.BASELINE: Published(66.2, (None, 0.2187, None)),
    ways.HNM: Published(71.8, (None, 0.2234, None)),
    ways.XGRAD: Published(73.4, (None, 0.2252, None)),
    ways.SOFTSIGN: Published(73.1, (None, 0.2229, None)),
    ways.ARCTAN: Published(73.1, (None, 0.2205, None)),
}
# icCNN on ImageNet-9, table IV: accuracy before other backgrounds.
NO_MAPS = (None, None, None)
IMAGENET9: Rows = {
    ways.BASELINE: Published(70.7, NO_MAPS),
    ways.HNM: Published(78.8, NO_MAPS),
    ways.UNCERTAIN: Published(80.1, NO_MAPS),
    ways.XGRAD: Published(82.1, NO_MAPS),
}
PUBLISHED: dict[str, Rows] = TABLE_I | {"icCNN, CUB-200-2011": TABLE_IV, "icCNN, ImageNet-9": IMAGENET9}
# Figure 8: about so many per cent of the highest weights go to samples without the bias.
UNBIASED = {"ours": 24.0, "FL": 22.0, "HNM": 22.0}

# Tables II and III: per cent of images on which raters find the maps better, the same, worse.
RATED: tuple[tuple[str, str, str, str], ...] = (
    ("VGG-16, ours against the baseline", "Grad-CAM", "37 / 53 / 10", "39 / 50 / 11"),
    ("", "Inte-Grad", "34 / 52 / 14", "38 / 46 / 16"),
    ("ResNet-50, ours against the baseline", "Grad-CAM", "43 / 49 / 8", "59 / 30 / 11"),
    ("", "Inte-Grad", "45 / 45 / 10", "62 / 28 / 10"),
    ("ResNet-50, HNM against the baseline", "Grad-CAM", "–", "38 / 21 / 41"),
    ("", "Inte-Grad", "–", "42 / 6 / 52"),
)

# What contradicts what; the study says beside each what its own runs say of it, by the word in front.
INCONSISTENCIES: tuple[tuple[str, str], ...] = (
    (
        "identity",
        "Table I: the columns XGrad-CAM and Grad-CAM agree to 0.0004. Before a mean and a linear head the two "
        "are one formula, so that these are one measurement, and 'ours, XGrad-CAM' is 'ours, Grad-CAM'.",
    ),
    (
        "saturation",
        "Eq. 3 sums squares over maps of the image's size: at 224 x 224 its tanh is 0.9999 for maps that "
        "differ by 0.01, so that all samples weigh the same and the method is plain training.",
    ),
    ("psi", "Table V finds that psi hardly matters; where all three are at their upper end, it cannot."),
    ("judged", "The introduction reweighs only samples that are predicted rightly; algorithm 1 and eq. 4 reweigh all."),
    ("interval", "Eq. 4 says weights are in (0, 1]; tanh(0) = 0."),
    ("loss", "Eq. 6, 'the standard cross entropy', is the binary one; the task has many classes."),
    ("hnm", "'HNM can help improve the model's performance'; table I: 44.89 against 45.72 of the baseline."),
    (
        "gains",
        "'About 1 % in accuracy' over HNM is 1.52 and 1.59 in table I; '1.63 %' for MobileNetV2 mixes Eigen-CAM "
        "with HNM, XGrad-CAM's is 2.11. The gain in mIoU there is 0.0019, with no spread over the three trials.",
    ),
    (
        "units",
        "Tables I and IV give mIoU as a share and in per cent. 45.7 % for ResNet-50, below MobileNetV2, means "
        "training from scratch, which is not said.",
    ),
    ("sign", "sgn(0) = 1 moves pixels without a gradient by +eps."),
    (
        "names",
        "Table III compares 'with HNM' by its text and with the baseline by its caption; fig. 9 is on 'VOC "
        "Animal-Part', which is never introduced; AL has no number for CUB, ImageNet-9 no mIoU.",
    ),
)
