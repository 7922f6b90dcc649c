"""Published numbers next to which the robustness study may be read; of the study itself only an abstract is public."""

from __future__ import annotations

from typing import NamedTuple


class Anchor(NamedTuple):
    """What others measured; other networks, data or explainers than ours, so none is to be matched."""

    source: str
    setting: str
    measured: str


ANCHORS = (
    Anchor(
        "Chalasani et al., ICML 2020, https://arxiv.org/abs/1810.06583",
        "Gini index, Integrated Gradients, CIFAR-10, one image (their repository)",
        "0.626 naturally trained, 0.750 adversarially (eps 1/255), 0.660 with an L1 penalty",
    ),
    Anchor(
        "Chalasani et al., ICML 2020",
        "the same, MNIST and Fashion-MNIST, one image each",
        "0.954 → 0.983 (eps 0.3); 0.578 → 0.727 (eps 0.1)",
    ),
    Anchor(
        "Salman et al., NeurIPS 2020, https://arxiv.org/abs/2007.08489",
        "clean accuracy of ResNet-18 on ImageNet, L-inf eps 0.5, 1, 2, 4, 8 of 255",
        "66.13, 63.46, 59.63, 52.49, 42.11 %",
    ),
    Anchor(
        "Pang et al., ICLR 2021, https://arxiv.org/abs/2010.00467",
        "PGD-AT 8/255, ResNet-18 on CIFAR-10: clean and under AutoAttack at 8/255",
        "84.15 and 48.72 %; standard training 95.28 and 0.00 %",
    ),
    Anchor(
        "Bhusal et al., 2026, https://arxiv.org/abs/2603.07302",
        "Fashion-MNIST and CIFAR-10, adversarial training",
        "sparser and more stable on the side of the input, less stable on that of the output",
    ),
)
