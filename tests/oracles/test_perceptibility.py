"""How much of an attack can be seen, and whom it fools: closed forms and peers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from glasshouse.attacks import FGSM, L2, PGD, Linf
from glasshouse.metrics import LPIPS, SSIM, Distortion, Fooled, MapSSIM, RankCorrelation, TopKIntersection
from glasshouse.metrics.fooling import intersection, map_ssim, rank_correlation, ranks
from glasshouse.metrics.perceptibility import distortion, feature_network, ssim
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.statistics import estimate
from glasshouse.types import Batch
from nets import Net


@dataclass(frozen=True)
class Lit:
    """As an attack: each image brighter by as much; counts how often it is asked."""

    by: float = 0.1

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        ASKED.append(len(x))
        return (x + self.by).clamp(0, 1)


ASKED: list[int] = []


class Threshold(nn.Module):
    """Class 1 where the mean is above one half."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([0.5 - x.mean((1, 2, 3)), x.mean((1, 2, 3)) - 0.5], 1)


GREYS = torch.tensor([0.2, 0.45, 0.55, 0.45]).view(-1, 1, 1, 1).expand(4, 3, 12, 12)
GREY = Batch(GREYS, torch.tensor([0, 0, 1, 1]))


@pytest.mark.parametrize("p", [1.0, 2.0, inf])
def test_the_distortion_of_grey_images_is_how_much_brighter_they_got(p: float) -> None:
    expected = 0.1 / GREYS[:, 0, 0, 0]
    torch.testing.assert_close(distortion(GREYS, GREYS + 0.1, p), expected)
    torch.testing.assert_close(Distortion(attack=Lit(), p=p)(Threshold(), GREY), expected)
    torch.testing.assert_close(Distortion(p=p).of(GREYS, GREYS + 0.1), expected)


def test_the_distortion_of_a_known_change() -> None:
    x, x_adv = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    x[0, 0] = torch.tensor([[0.3, 0.4], [0.0, 0.0]])
    x_adv[0, 0] = torch.tensor([[0.3, 0.4], [0.06, 0.08]])
    for p, expected in ((1, 0.14 / 0.7), (2, 0.1 / 0.5), (inf, 0.08 / 0.4)):
        torch.testing.assert_close(distortion(x, x_adv, p), torch.tensor([expected]))
    black = torch.zeros(2, 1, 2, 2)
    assert distortion(black, torch.stack([black[0], black[1] + 0.1])).tolist() == [0, inf]


def test_the_distortion_of_an_attack_is_what_its_ball_allows(net: Net, batch: Batch) -> None:
    for ball, p in ((Linf(eps=0.03), inf), (L2(eps=0.4), 2.0)):
        values = Distortion(attack=PGD(ball=ball, steps=10), p=p)(net.eval(), batch)
        whole = torch.linalg.vector_norm(batch.x.flatten(1), p, dim=1)
        assert (values <= ball.eps / whole * 1.0001).all() and (values > 0.3 * ball.eps / whole).all()


@pytest.mark.parametrize("p", [0.0, 3.0])
def test_a_norm_that_is_none_of_the_three_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="Distortion: p is 1, 2 or inf"):
        Distortion(p=p)


def peer(a: Tensor, b: Tensor) -> list[float]:
    pairs = zip(a.double().numpy(), b.double().numpy(), strict=True)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return [float(structural_similarity(p, q, channel_axis=0, **options)) for p, q in pairs]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 11, 11), (3, 13, 40)], ids=repr)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.2, 2.0])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...], noise: float) -> None:
    torch.manual_seed(0)
    a = torch.rand(4, *shape)
    b = (a + noise * torch.randn_like(a)).clamp(0, 1)
    values = ssim(a, b)
    torch.testing.assert_close(values, torch.tensor(peer(a, b)), atol=1e-6, rtol=1e-6)
    assert values.dtype == a.dtype and (noise > 0 or values.eq(1).all())


def test_ssim_of_almost_flat_bright_images_does_not_lose_its_digits() -> None:
    torch.manual_seed(0)
    a = 0.99 + 1e-3 * torch.rand(4, 3, 32, 32)
    b = a + 1e-4 * torch.randn_like(a)
    torch.testing.assert_close(ssim(a, b), torch.tensor(peer(a, b)), atol=1e-7, rtol=1e-7)


def slow_ssim(a: Tensor, b: Tensor, size: int) -> float:
    """From the formula, window by window."""
    away = np.arange(size) - size // 2
    window = np.exp(-(away[:, None] ** 2 + away[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for p, q in zip(a.double().numpy(), b.double().numpy(), strict=True):
        for i in range(p.shape[0] - size + 1):
            for j in range(p.shape[1] - size + 1):
                u, v = p[i : i + size, j : j + size], q[i : i + size, j : j + size]
                mu, mv = (window * u).sum(), (window * v).sum()
                uu, vv, uv = ((window * t).sum() for t in ((u - mu) ** 2, (v - mv) ** 2, (u - mu) * (v - mv)))
                c1, c2 = 0.0001, 0.0009
                values.append((2 * mu * mv + c1) * (2 * uv + c2) / ((mu**2 + mv**2 + c1) * (uu + vv + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(("side", "window"), [((8, 20), 7), ((5, 5), 5), ((1, 9), 1), ((12, 12), 11)])
def test_small_images_get_the_largest_odd_window_that_fits(side: tuple[int, int], window: int) -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, *side), torch.rand(2, 3, *side)
    expected = [slow_ssim(p, q, window) for p, q in zip(a, b, strict=True)]
    torch.testing.assert_close(ssim(a, b).double(), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=1e-5)


def test_ssim_sees_an_attack_the_more_the_larger_it_is(net: Net, batch: Batch) -> None:
    small, large = (SSIM(attack=FGSM(ball=Linf(eps=eps)))(net.eval(), batch) for eps in (0.02, 0.2))
    assert (large < small).all() and (small < 1).all()
    assert SSIM().of(batch.x, batch.x).eq(1).all()


def test_an_attack_runs_once_for_all_that_look_at_its_images() -> None:
    ASKED.clear()
    verdicts = Verdicts(Threshold(), GREY)
    for metric in (Distortion(attack=Lit()), SSIM(attack=Lit()), Fooled(attack=Lit())):
        assert torch.equal(metric.given(verdicts), metric(Threshold(), GREY))
    assert len(ASKED) == 1 + 3


def test_fooled_is_whose_label_changed_and_not_who_is_wrong() -> None:
    assert Fooled(attack=Lit())(Threshold(), GREY).tolist() == [0, 1, 0, 1]
    among = Fooled(attack=Lit(), right_only=True)(Threshold(), GREY)
    assert among[:3].tolist() == [0, 1, 0] and among[3].isnan()
    told = estimate(among.double().numpy())
    assert told.count == 3 and told.mean == pytest.approx(1 / 3) and 0 < told.low < told.high < 1


def test_ranks_are_shared_out_among_equals() -> None:
    values = torch.tensor([[3.0, 1.0, 3.0, 2.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    expected = [stats.rankdata(row) - 1 for row in values.numpy()]
    assert np.array_equal(ranks(values).numpy(), np.stack(expected))


def test_rank_correlation_is_spearmans_map_by_map() -> None:
    torch.manual_seed(0)
    a = torch.randn(5, 9, 7).relu()
    b = a + 0.5 * torch.randn_like(a)
    expected = [stats.spearmanr(p.flatten(), q.flatten())[0] for p, q in zip(a.numpy(), b.numpy(), strict=True)]
    torch.testing.assert_close(rank_correlation(a, b).double(), torch.tensor(expected), atol=1e-6, rtol=0)
    assert rank_correlation(torch.ones(1, 3, 3), a[:1, :3, :3]).isnan().all()


def test_the_intersection_counts_the_pixels_that_both_maps_point_to() -> None:
    a = torch.arange(100.0).view(1, 10, 10)
    assert intersection(a, a.flatten().roll(-4).view(1, 10, 10), 0.1).item() == pytest.approx(0.6)
    assert intersection(a, -a, 0.1).item() == 1  # the absolute value counts
    assert intersection(a, a.flip(1, 2), 0.1).item() == 0
    assert intersection(a, a + 1, 1e-9).item() == 1  # one pixel at least


def test_map_ssim_does_not_see_how_large_a_map_is() -> None:
    a = torch.randn(3, 16, 16)
    sizes = torch.tensor([-1e-6, 10.0, 1.0]).view(3, 1, 1)
    torch.testing.assert_close(map_ssim(a, sizes * a), torch.ones(3))
    assert (map_ssim(a, torch.randn(3, 16, 16)) < 0.5).all()
    assert map_ssim(torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)).item() == 1


@pytest.mark.parametrize("metric", [TopKIntersection, RankCorrelation, MapSSIM])
def test_a_map_of_an_image_that_does_not_change_is_the_same(metric: type, net: Net, batch: Batch) -> None:
    still, moved = (metric(attack=Lit(by=by))(net.eval(), batch) for by in (0.0, 0.5))
    torch.testing.assert_close(still, torch.ones(6))
    assert (moved < 1).any()


def test_lpips_without_its_package_or_its_weights_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batch: Batch
) -> None:
    feature_network.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ValueError, match="pip install lpips"):
        LPIPS(attack=Lit())(Threshold(), batch)
    monkeypatch.setitem(sys.modules, "lpips", object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ASKED.clear()
    with pytest.raises(ValueError, match="weights="):
        LPIPS(attack=Lit())(Threshold(), batch)
    assert not ASKED
    with pytest.raises(ValueError, match="32x32"):
        LPIPS().of(batch.x, batch.x)
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="neither torchvision's AlexNet"):
        feature_network(str(tmp_path / "other.pth"))


class Stub(nn.Module):
    """As much of the package as is called: a network with a random first layer, for images in [-1, 1]."""

    def __init__(self, net: str, pnet_rand: bool, verbose: bool) -> None:
        super().__init__()
        assert net == "alex" and pnet_rand and not verbose
        self.net = nn.Module()
        self.net.slice1 = nn.Sequential(nn.Conv2d(3, 64, 11))

    def forward(self, a: Tensor, b: Tensor, normalize: bool) -> Tensor:
        first, second = (self.net.slice1(2 * t - 1 if normalize else t) for t in (a, b))
        return (first - second).square().mean((1, 2, 3), keepdim=True)


def test_lpips_gives_the_package_the_weights_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    feature_network.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Stub))
    layer = nn.Conv2d(3, 64, 11)
    torch.save({f"features.0.{k}": v for k, v in layer.state_dict().items()}, tmp_path / "alexnet.pth")
    a, b = torch.rand(2, 4, 3, 32, 32)
    values = LPIPS(weights=str(tmp_path / "alexnet.pth")).of(a, b)
    torch.testing.assert_close(values, (layer(2 * a) - layer(2 * b)).square().mean((1, 2, 3)).detach())
    feature_network.cache_clear()


@pytest.mark.filterwarnings("ignore:.*weight")
@pytest.mark.parametrize(("name", "trunk"), [("alexnet", "alex"), ("squeezenet1_1", "squeeze")])
def test_lpips_is_that_of_its_package(name: str, trunk: str, tmp_path: Path) -> None:
    lpips = pytest.importorskip("lpips")
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    features = getattr(torchvision.models, name)(weights=None).features
    file = tmp_path / f"{name}.pth"
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, file)
    theirs = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    for part in theirs.net.children():
        for place, layer in part.named_children():
            layer.load_state_dict(features[int(place)].state_dict())
    a = torch.rand(3, 3, 40, 36)
    b = (a + 0.1 * torch.randn_like(a)).clamp(0, 1)
    seed = torch.get_rng_state()
    ours = LPIPS(weights=str(file)).of(a, b)
    torch.testing.assert_close(ours, theirs(2 * a - 1, 2 * b - 1).view(-1))
    assert (ours > 0).all() and torch.equal(torch.get_rng_state(), seed) and not ours.requires_grad
    torch.testing.assert_close(LPIPS(weights=str(file)).of(a, a), torch.zeros(3))
    state = torch.load(file, weights_only=True)
    torch.save({k: v for k, v in state.items() if k != "features.3.weight" and ".3.squeeze" not in k}, file)
    feature_network.cache_clear()
    with pytest.raises(ValueError, match=r"lacks .* first 'features\.3"):
        feature_network(str(file))
