"""Corruptions: pixel by pixel as one image at a time in float64, exact distributions, Pillow; names and errors."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from glasshouse import corruptions
from glasshouse.corruptions import (
    GaussianNoise,
    GlassBlur,
    ImpulseNoise,
    Saturate,
    ShotNoise,
    SpeckleNoise,
    corruptions_named,
)
from glasshouse.corruptions.blur import disk_filtered
from glasshouse.corruptions.errors import corruption_error
from glasshouse.corruptions.filters import clamped, doubled, mirrored, smooth
from glasshouse.corruptions.images import stream
from glasshouse.corruptions.naming import NAMES, STANDARD
from glasshouse.corruptions.noise import alias_tables, few, photons
from glasshouse.corruptions.plasma import plasma
from glasshouse.corruptions.streaks import streaked
from glasshouse.draws import draws
from reference.corruptions_numpy import TABLE, corrupted

NOISE = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
SEVERITIES = range(1, 6)
LEAPING = ("saturate", "spatter", "glass_blur", "elastic_transform", "frost", "pixelate", "motion_blur")


class Replayed:
    """The numbers that a corruption drew for one image, in the way numpy's generators are asked."""

    def __init__(self, corruption: Any, x: Tensor) -> None:
        self.draws = stream(corruption, x[None])

    def uniform(self, low: float, high: float, size: Sequence[int] = ()) -> np.ndarray:
        number = self.draws.uniform(*size)
        return low + (high - low) * number[0].double().numpy()

    def normal(self, mean: float, deviation: float, size: Sequence[int]) -> np.ndarray:
        return mean + deviation * self.draws.normal(*size)[0].double().numpy()

    def integers(self, low: int, high: int, size: Sequence[int]) -> np.ndarray:
        return np.floor(self.uniform(low, high, size)).astype(int)


def photos(count: int, height: int = 32, width: int = 32) -> Tensor:
    """Images with edges and smooth parts, in steps of 1/255."""
    coarse = torch.rand(count, 3, 7, 7, generator=torch.Generator().manual_seed(5))
    x = 1.3 * F.interpolate(coarse, size=(height, width), mode="bicubic") - 0.15
    x[:, :, height // 3 : height // 2, width // 4 :] = x[:, :, :1, :1]
    return (x.clamp(0, 1) * 255).round() / 255


def flat(level: float, count: int = 40) -> Tensor:
    """Images of one grey that differ in a single number, so that each draws its own."""
    x = torch.full((count, 3, 32, 32), level)
    x[:, 0, 0, 0] = torch.arange(count) / 255
    return x


def one_by_one(name: str, severity: int, x: Tensor, random: Any = None) -> Tensor:
    corruption = NAMES[name](severity=severity, seed=3)
    images = [
        corrupted(name, image.permute(1, 2, 0).double().numpy().copy(), severity, random or Replayed(corruption, image))
        for image in x
    ]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOISE])
def test_the_same_pixels_as_one_image_at_a_time_in_float64(name: str, severity: int) -> None:
    x = photos(4)
    expected = one_by_one(name, severity, x)
    ours = NAMES[name](severity=severity, seed=3)(x).double()
    # JPEG rounds: what is nearly half a step may go either way, and with it a block.
    assert ((ours - expected).abs() > 1e-5).double().mean() <= (0.02 if name == "jpeg_compression" else 0)
    assert (expected - x).abs().mean() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(33, 46), (64, 40), (11, 12)])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOISE])
def test_the_same_pixels_on_images_of_any_size(name: str, height: int, width: int) -> None:
    x = photos(1, height, width)
    for severity in (2, 5):
        expected = one_by_one(name, severity, x)
        torch.testing.assert_close(NAMES[name](severity=severity, seed=3)(x).double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", NOISE)
def test_noise_changes_pixels_as_much_as_numpys(name: str, severity: int) -> None:
    x = photos(1500 if name == "impulse_noise" else 60)  # few numbers change
    ours = NAMES[name](severity=severity, seed=3)(x).double() - x
    theirs = one_by_one(name, severity, x, np.random.default_rng(1)) - x
    assert float(ours.abs().mean() / theirs.abs().mean()) == pytest.approx(1, abs=0.02)
    assert float(ours.std() / theirs.std()) == pytest.approx(1, abs=0.02)
    assert float(ours.mean() - theirs.mean()) == pytest.approx(0, abs=0.02 * float(theirs.std()))


def test_uniform_numbers_stay_between_0_and_1_and_normal_numbers_are_normal() -> None:
    streams = draws(flat(0.5), 0)
    number = streams.uniform(3001).double().flatten()
    assert 0 < float(number.min()) < 1e-4 and 1 > float(number.max()) > 1 - 1e-4
    assert stats.kstest(number.numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(streams.normal(3001).flatten().numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize(("name", "spread"), [("gaussian_noise", 0.09), ("speckle_noise", 0.16 / 2)])
def test_every_number_of_an_image_has_its_own_noise(name: str, spread: float) -> None:
    change = (NAMES[name](severity=4)(flat(0.5)) - flat(0.5))[:, :, 1:]
    assert float(change.std()) == pytest.approx(spread, rel=0.01)
    correlation = np.corrcoef(change.transpose(0, 1).flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.02
    assert np.abs(np.corrcoef(change[:-1].flatten().numpy(), change[1:].flatten().numpy())[0, 1]) < 0.02
    assert np.abs(np.corrcoef(change[..., :-1].flatten().numpy(), change[..., 1:].flatten().numpy())[0, 1]) < 0.02


@pytest.mark.parametrize("white", [50, 500])
def test_the_table_of_photons_is_poissons_distribution(white: int) -> None:
    share, other = (table.double() for table in alias_tables(white))
    chance = (share / (white + 1)).scatter_add(1, other.long(), (1 - share) / (white + 1))
    for grey in (0, 1, 90, 255):
        expected = stats.poisson.pmf(np.arange(white + 1), grey * white / 255)
        expected[-1] = stats.poisson.sf(white - 1, grey * white / 255)
        np.testing.assert_allclose(chance[grey], expected, atol=1e-8)


@pytest.mark.parametrize("level", [0.0, 40 / 255, 0.1234567, 0.30001, 0.9])
def test_photons_are_poisson_at_any_level(level: float) -> None:
    white = 75
    count = photons(flat(level)[:, :, 1:], white, draws(flat(level), 0)).clamp(max=white).flatten().numpy()
    seen = np.bincount(count.astype(int), minlength=white + 1)
    chance = stats.poisson.pmf(np.arange(white + 1), level * white)
    chance[-1] += stats.poisson.sf(white, level * white)
    deviation = math.sqrt((chance * np.arange(white + 1) ** 2).sum() - (chance * np.arange(white + 1)).sum() ** 2)
    assert count.mean() == pytest.approx(
        (chance * np.arange(white + 1)).sum(), abs=4 * deviation / count.size**0.5 + 1e-9
    )
    kept = chance * count.size > 10
    if kept.sum() > 1:
        expected = np.append(chance[kept], 1 - chance[kept].sum()) * count.size
        found = np.append(seen[kept], count.size - seen[kept].sum())
        assert stats.chisquare(found[expected > 1], expected[expected > 1] * found.sum() / expected.sum()).pvalue > 1e-3


def test_a_few_photons_are_poisson() -> None:
    count = few(torch.full((40, 3000), 1.9), draws(flat(0.5), 0)).flatten().numpy()
    chance = stats.poisson.pmf(np.arange(8), 1.9)
    np.testing.assert_allclose(np.bincount(count.astype(int), minlength=8)[:8] / count.size, chance, atol=0.006)


def test_grey_is_saturated_to_red_as_scikit_image_has_it() -> None:
    red, green, blue = Saturate(severity=5)(flat(0.5))[:, :, 1:].unbind(1)
    torch.testing.assert_close(red, torch.full_like(red, 0.5))
    torch.testing.assert_close(green, torch.full_like(red, 0.4))
    assert torch.equal(blue, green)


def test_who_is_between_two_greys_changes_nothing_for_the_others() -> None:
    x = photos(2)
    between = torch.cat([x[:1], x[1:] * 0.987])
    assert torch.equal(ShotNoise()(x)[:1], ShotNoise()(between)[:1])


def test_impulses_are_black_or_white_each_as_often() -> None:
    x = flat(0.5)
    salted = ImpulseNoise(severity=5)(x)[:, :, 1:]
    assert float((salted == 1).float().mean()) == pytest.approx(0.035, rel=0.05)
    assert float((salted == 0).float().mean()) == pytest.approx(0.035, rel=0.05)
    assert ((salted == 0) | (salted == 1) | (salted == 0.5)).all()


@pytest.mark.parametrize("side", [32, 45, 224])
def test_pixelate_is_pillows_box(side: int) -> None:
    x = photos(1, side, side + 15)
    picture = Image.fromarray((x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    for severity, share in enumerate(TABLE["pixelate"], 1):
        small = picture.resize((int((side + 15) * share), int(side * share)), Image.Resampling.BOX)
        expected = np.asarray(small.resize(picture.size, Image.Resampling.BOX)) / 255
        ours = NAMES["pixelate"](severity=severity)(x)[0].permute(1, 2, 0).numpy()
        assert np.abs(ours - expected).max() < 1.01 / 255


@pytest.mark.parametrize(("height", "width"), [(32, 32), (30, 32), (33, 47), (12, 13), (120, 96)])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_is_nearly_pillows(severity: int, height: int, width: int) -> None:
    x = photos(3, height, width)
    ours = NAMES["jpeg_compression"](severity=severity)(x).permute(0, 2, 3, 1).numpy() * 255
    before = x.permute(0, 2, 3, 1).numpy() * 255
    away, change = [], []
    for image, mine in zip(before.round().astype(np.uint8), ours, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=TABLE["jpeg_compression"][severity - 1])
        theirs = np.asarray(Image.open(file)).astype(float)
        away.append(np.abs(mine - theirs))
        change.append(np.abs(image - theirs))
    assert np.mean(away) < 0.1 * np.mean(change) and np.quantile(away, 0.9) < 3.01


def test_glass_takes_what_a_pixel_nearby_shows_by_then() -> None:
    """At a distance of 2, pixels further on have changed already; pixels are never made up."""
    x = torch.arange(64.0 * 64).div(4095).view(1, 1, 64, 64).expand(1, 3, -1, -1).contiguous()
    shown = (GlassBlur(severity=1)(x) * 4095).round().long()[0, 0]
    at = torch.arange(64 * 64).view(64, 64)
    down, right = shown // 64 - at // 64, shown % 64 - at % 64
    assert int(down.min()) == -2 and int(down.max()) > 1 and {-1, 0, 1} < set(down.flatten().tolist())
    assert int(right.min()) < -2 and int(right.max()) > 1
    assert torch.equal(shown[:3], at[:3]) and torch.equal(shown[63], at[63]) and not torch.equal(shown[62], at[62])


def test_a_disk_of_radius_one_is_a_plus() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = 5
    expected = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    torch.testing.assert_close(disk_filtered(x, 1.0)[0, 0, 3:6, 3:6], expected)
    assert int((disk_filtered(x, 3.5) > 1e-6).sum()) == sum(
        i * i + j * j <= 12.25 for i in range(-3, 4) for j in range(-3, 4)
    )


def test_a_streak_goes_the_way_of_its_angle() -> None:
    x = torch.zeros(3, 1, 15, 15)
    x[:, :, 7, 7] = 1
    seen = streaked(x, 3, 2.0, torch.tensor([0.0, math.pi / 2, -math.pi / 4]))[:, 0]
    assert seen[0].nonzero()[:, 0].unique().tolist() == [7] and seen[0].nonzero()[:, 1].max() == 7
    assert seen[1].nonzero()[:, 1].unique().tolist() == [7] and seen[1].nonzero()[:, 0].max() == 7
    assert float(seen[2, 8, 6]) > 0 and float(seen[2, 6, 8]) == 0
    torch.testing.assert_close(seen.sum((1, 2)), torch.ones(3))
    weights = torch.arange(7.0).square().div(-8).exp()
    torch.testing.assert_close(seen[0, 7, 1:8].flip(0), weights / weights.sum())


def test_borders_go_on_as_they_say() -> None:
    places = torch.arange(-5, 10)
    assert clamped(places, 3).tolist() == [0] * 6 + [1] + [2] * 8
    assert mirrored(places, 3).tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert doubled(places, 3).tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2]
    assert mirrored(places, 1).tolist() == doubled(places, 1).tolist() == [0] * 15


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_larger_grains_are_as_strong(sigma: float) -> None:
    noise = torch.randn(20, 96, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grains = [smooth(noise, sigma, scale, mirrored)[:, 24:-24, 24:-24] for scale in (1.0, 3.0)]
    assert float(grains[1].std() / grains[0].std()) == pytest.approx(1, abs=0.1)
    assert grains[1].diff().std() < 0.5 * grains[0].diff().std()


def test_a_plasma_is_a_torus_from_0_to_1_that_decays() -> None:
    streams = [draws(flat(0.5, 200), 0) for _ in range(2)]
    soft, rough = plasma(streams[0], 32, 3.0), plasma(streams[1], 32, 1.75)
    assert torch.equal(soft.amin((1, 2)), torch.zeros(200)) and torch.equal(soft.amax((1, 2)), torch.ones(200))
    assert soft.diff().abs().mean() < 0.8 * rough.diff().abs().mean()
    assert float((soft[:, -1] - soft[:, 0]).abs().mean()) < 2 * float((soft[:, 1] - soft[:, 0]).abs().mean())


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LEAPING])
def test_a_higher_severity_changes_more(name: str) -> None:
    x = photos(16)
    change = [float((NAMES[name](severity=severity)(x) - x).square().mean()) for severity in SEVERITIES]
    assert change == sorted(change) and change[4] > 1.2 * change[0]


def test_each_corruption_and_each_seed_draws_its_own_numbers() -> None:
    x = photos(2)
    keys = [stream(NAMES[name](seed=seed), x).keys for name in NAMES for seed in (0, 1)]
    assert len(torch.cat(keys).unique()) == 2 * len(keys)
    assert not torch.equal(stream(GaussianNoise(severity=1), x).keys, stream(GaussianNoise(severity=5), x).keys)
    assert not torch.equal(SpeckleNoise(seed=1)(x), SpeckleNoise(seed=2)(x))


def test_a_corruption_leaves_no_graph() -> None:
    assert not SpeckleNoise()(photos(1).requires_grad_()).requires_grad


def test_what_is_no_colour_image_is_refused() -> None:
    for wrong in (torch.rand(2, 1, 8, 8), torch.rand(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"\[B, 3, H, W\]"):
            GaussianNoise()(wrong)
    for severity in (0, 6):
        with pytest.raises(ValueError, match="severity is a whole number from 1 to 5"):
            GaussianNoise(severity=severity)


def test_what_a_person_types_for_corruptions() -> None:
    assert {cls.__name__ for cls in NAMES.values()} == set(corruptions.__all__) and len(NAMES) == 19 == len(TABLE)
    assert tuple(NAMES) == tuple(TABLE)
    assert len(STANDARD) == 15 and not {"speckle_noise", "gaussian_blur", "spatter", "saturate"} & set(STANDARD)
    assert corruptions_named("gaussian_noise:5") == (GaussianNoise(severity=5),)
    assert corruptions_named("glass_blur") == tuple(GlassBlur(severity=s) for s in SEVERITIES)
    assert len(corruptions_named("all")) == 75 and len(corruptions_named("extra")) == 95
    assert [c.severity for c in corruptions_named("all:2")] == [2] * 15
    assert not any(isinstance(c, SpeckleNoise) for c in corruptions_named("all"))
    with pytest.raises(ValueError, match=r"unknown corruption 'rain'; there are: all, extra, gaussian_noise, shot"):
        corruptions_named("rain")
    for text in ("fog:6", "fog:", "fog:x", "fog:1:2"):
        with pytest.raises(ValueError, match="from 1 to 5"):
            corruptions_named(text)


def test_the_corruption_error_is_the_mean_of_ratios() -> None:
    own = {("fog", 1): 0.9, ("fog", 2): 0.7, ("snow", 1): 0.5}
    other = {("fog", 1): 0.8, ("fog", 2): 0.6, ("snow", 1): 0.75, ("frost", 1): 0.0}
    found = corruption_error(own, other, clean=0.95, reference_clean=0.9)
    assert found.mce == pytest.approx((0.4 / 0.6 + 0.5 / 0.25) / 2)
    assert found.relative_mce == pytest.approx((0.3 / 0.4 + 0.45 / 0.15) / 2)
    same = corruption_error(own, own, 0.95, 0.95)
    assert same.mce == pytest.approx(1) and same.relative_mce == pytest.approx(1)
    assert math.isnan(corruption_error(own, other).relative_mce)
    assert corruption_error({("fog", 1): 0.5}, {("fog", 1): 1.0}).mce == math.inf
    assert math.isnan(corruption_error({("fog", 1): 1.0}, {("fog", 1): 1.0}).mce)
    with pytest.raises(ValueError, match="the reference has no accuracy under 'fog' at severity 2"):
        corruption_error(own, {("fog", 1): 0.8, ("snow", 1): 0.7})
    with pytest.raises(ValueError, match="a share from 0 to 1, not 90"):
        corruption_error({("fog", 1): 90.0}, other)
    with pytest.raises(ValueError, match="at least"):
        corruption_error({}, other)
