"""The corruptions one image at a time in float64, from their definitions, with numpy, scipy and scikit-image.

``corrupted(name, image, severity, random)``: an image ``[H, W, 3]`` in [0, 1] and a ``numpy.random.Generator`` (or
what answers like one). The benchmark measures against the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.interpolate import BSpline
from skimage.color import hsv2rgb, rgb2hsv

Array = NDArray[np.float64]

TABLE: dict[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": (6, 11, 16, 21, 26),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": (80, 65, 58, 50, 40),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}


def corrupted(name: str, image: Array, severity: int, random: Any) -> Array:
    """One image, corrupted."""
    return np.clip(FUNCTIONS[name](image, TABLE[name][severity - 1], random), 0, 1)


def scale_of(image: Array) -> float:
    return max(min(image.shape[:2]) / 32, 1)


def gaussian_noise(image: Array, deviation: float, random: Any) -> Array:
    return image + random.normal(0, deviation, image.shape)


def speckle_noise(image: Array, deviation: float, random: Any) -> Array:
    return image + image * random.normal(0, deviation, image.shape)


def shot_noise(image: Array, white: float, random: Any) -> Array:
    return random.poisson(image * white) / white


def impulse_noise(image: Array, share: float, random: Any) -> Array:
    flipped = random.random(image.shape) < share
    salted = random.random(image.shape) < 0.5
    out = image.copy()
    out[flipped & salted] = 1
    out[flipped & ~salted] = 0
    return out


def gaussian_blur(image: Array, sigma: float, random: Any) -> Array:
    sigma = sigma * scale_of(image)
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4)


def defocus_blur(image: Array, lengths: tuple[float, float], random: Any) -> Array:
    radius, soft = (length * scale_of(image) for length in lengths)
    rim, reach = max(1, round(scale_of(image))), math.floor(radius)
    side = np.arange(-reach - rim, reach + rim + 1)
    disk = (side[:, None] ** 2 + side**2 <= radius**2).astype(float)
    near = np.exp(-(np.arange(-rim, rim + 1) ** 2) / (2 * soft**2))
    kernel = ndimage.convolve(disk / disk.sum(), np.outer(near, near) / near.sum() ** 2, mode="constant")
    return np.stack([ndimage.convolve(image[..., c], kernel, mode="mirror") for c in range(3)], -1)


def streaked(layer: Array, radius: float, sigma: float, angle: float) -> Array:
    """Half a Gaussian along a line, at whole pixels."""
    taps = 2 * math.ceil(radius) + 1
    weights = np.exp(-(np.arange(taps) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    height, width = layer.shape[:2]
    padded = np.pad(layer, [(taps, taps), (taps, taps), *[(0, 0)] * (layer.ndim - 2)], mode="edge")
    out = np.zeros_like(layer)
    for i, weight in enumerate(weights):
        down = taps + math.ceil(i * math.sin(angle) - 0.5)
        right = taps + math.ceil(i * math.cos(angle) - 0.5)
        out += weight * padded[down : down + height, right : right + width]
    return out


def motion_blur(image: Array, lengths: tuple[float, float], random: Any) -> Array:
    radius, sigma = (length * scale_of(image) for length in lengths)
    return streaked(image, radius, sigma, float(random.uniform(-math.pi / 4, math.pi / 4)))


def zoomed(image: Array, zoom: float) -> Array:
    """Cut out of the middle, enlarged, cut to the size before."""
    kept = [math.ceil(side / zoom) for side in image.shape[:2]]
    top, left = ((side - k) // 2 for side, k in zip(image.shape[:2], kept, strict=True))
    part = image[top : top + kept[0], left : left + kept[1]]
    large = ndimage.zoom(part, (zoom, zoom, *[1] * (image.ndim - 2)), order=1)
    top, left = ((b - side) // 2 for b, side in zip(large.shape[:2], image.shape[:2], strict=True))
    return large[top : top + image.shape[0], left : left + image.shape[1]]


def zoom_blur(image: Array, percent: int, random: Any) -> Array:
    zooms = [1 + p / 100 for p in range(percent)]
    return (image + sum(zoomed(image, zoom) for zoom in zooms)) / (len(zooms) + 1)


def glass_blur(image: Array, settings: tuple[float, int, int], random: Any) -> Array:
    sigma, distance, rounds = settings
    image, distance = gaussian_blur(image, sigma, random), max(1, round(distance * scale_of(image)))
    height, width = image.shape[:2]
    for _ in range(rounds):
        down, right = random.integers(-distance, distance, (2, height - 2 * distance, width - 2 * distance))
        for h in range(height - distance, distance, -1):
            for w in range(width - distance, distance, -1):
                dh, dw = down[h - distance - 1, w - distance - 1], right[h - distance - 1, w - distance - 1]
                image[h, w] = image[h + dh, w + dw]
    return gaussian_blur(image, sigma, random)


def enlarged(layer: Array, height: int, width: int) -> Array:
    rows = (np.arange(height) + 0.5) * layer.shape[0] / height - 0.5
    columns = (np.arange(width) + 0.5) * layer.shape[1] / width - 0.5
    return ndimage.map_coordinates(layer, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")


def snow(image: Array, settings: tuple[float, ...], random: Any) -> Array:
    mean, deviation, zoom, threshold, radius, sigma, share = settings
    scale, (height, width) = scale_of(image), image.shape[:2]
    layer = zoomed(random.normal(mean, deviation, (round(height / scale), round(width / scale))), zoom)
    layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1)
    if scale != 1:
        layer = enlarged(layer, height, width)
    angle = float(random.uniform(-3 * math.pi / 4, -math.pi / 4))
    layer = streaked(layer, radius * scale, sigma * scale, angle)[..., None]
    grey = image @ np.array([0.299, 0.587, 0.114])
    white = np.maximum(image, grey[..., None] * 1.5 + 0.5)
    return share * image + (1 - share) * white + layer + np.rot90(layer, 2)


def curves(side: int, density: float) -> Array:
    """Cubic B-splines at the pixels, scaled so that noise at the knots keeps its variance."""
    places = np.arange(side) * density + 1
    spline = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    weights = np.nan_to_num(spline(places[:, None] - np.arange(int((side - 1) * density) + 4)))
    return weights / np.sqrt((weights**2).sum(1, keepdims=True))


def frost(image: Array, settings: tuple[float, float], random: Any) -> Array:
    own, ice_weight = settings
    scale, (height, width) = scale_of(image), image.shape[:2]
    density = 5 / (32 * scale)
    rows, columns = (curves(side, density) for side in (height, width))
    noise = random.normal(0, 1, (2, 3, rows.shape[1], columns.shape[1]))
    y, x = np.mgrid[:height, :width] / scale
    start, ice = float(random.uniform(0, 1)), np.zeros((height, width))
    for i in range(3):
        bend, growth = (rows @ noise[k, i] @ columns.T for k in (0, 1))
        turn = math.pi * (start + i / 3)
        phase = (x * math.cos(turn) + y * math.sin(turn)) * (math.pi / 6) + 1.2 * bend
        needles = (1 - np.abs(np.sin(phase))) ** 3
        ice = np.maximum(ice, 0.25 + (needles + 0.3) * np.maximum(0.3 + 0.45 * growth, 0))
    ice, tint = np.minimum(ice, 1)[..., None], np.array([0.86, 0.94, 1])
    return own * image + ice_weight * ice * (tint + (1 - tint) * ice)


def plasma(side: int, decay: float, random: Any) -> Array:
    """Squares, then diamonds, on a torus."""
    height, step, wobble = np.zeros((side, side)), side, 100.0
    while step > 1:
        half = step // 2
        corner = height[::step, ::step]

        wide = wobble * random.uniform(-wobble, wobble, (3, side // step, side // step))
        total = corner + np.roll(corner, -1, 0)
        middle = (total + np.roll(total, -1, 1)) / 4 + wide[0]
        height[half::step, half::step] = middle
        height[::step, half::step] = (corner + np.roll(corner, -1, 1) + middle + np.roll(middle, 1, 0)) / 4 + wide[1]
        height[half::step, ::step] = (total + middle + np.roll(middle, 1, 1)) / 4 + wide[2]
        step, wobble = half, wobble / decay
    height -= height.min()
    return height / height.max()


def fog(image: Array, settings: tuple[float, float], random: Any) -> Array:
    strength, decay = settings
    height, width = image.shape[:2]
    cloud = plasma(2 ** math.ceil(math.log2(max(height, width))), decay, random)[:height, :width, None]
    return (image + strength * cloud) * image.max() / (image.max() + strength)


def brightness(image: Array, more: float, random: Any) -> Array:
    hsv = rgb2hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + more, 0, 1)
    return hsv2rgb(hsv)


def saturate(image: Array, settings: tuple[float, float], random: Any) -> Array:
    hsv = rgb2hsv(image)
    hsv[..., 1] = np.clip(hsv[..., 1] * settings[0] + settings[1], 0, 1)
    return hsv2rgb(hsv)


def contrast(image: Array, factor: float, random: Any) -> Array:
    mean = image.mean((0, 1))
    return (image - mean) * factor + mean


def energy(sigma: float, truncate: float) -> float:
    reach = int(truncate * sigma + 0.5)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return float(((weights / weights.sum()) ** 2).sum())


def grains(noise: Array, sigma: float, scale: float, mode: str, truncate: float) -> Array:
    """Smoothed noise; larger grains are not flatter ones."""
    gain = 1.0 if scale == 1 else energy(sigma, truncate) / energy(sigma * scale, truncate)
    return gain * ndimage.gaussian_filter(noise, sigma * scale, mode=mode, truncate=truncate)


def elastic_transform(image: Array, settings: tuple[float, float, float], random: Any) -> Array:
    displacement, sigma, jitter = (32 * share for share in settings)
    scale, (height, width) = scale_of(image), image.shape[:2]
    third, middle = min(height, width) // 3, np.array([width // 2, height // 2], dtype=float)
    before = middle + third * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + random.uniform(-jitter, jitter, (3, 2)) * scale
    # The affine map that moves three corners, as cv2.getAffineTransform finds it; read backwards.
    forth = np.linalg.solve(np.c_[before, np.ones(3)], after)
    y, x = np.mgrid[:height, :width].astype(float)
    back = np.linalg.solve(forth[:2].T, (np.stack([x.ravel(), y.ravel()]) - forth[2][:, None]))
    image = sampled(image, back[1].reshape(height, width), back[0].reshape(height, width), "mirror")
    if displacement:
        noise = random.uniform(-1, 1, (2, height, width))
        right, down = (displacement * scale * grains(n, sigma, scale, "reflect", 3) for n in noise)
        image = sampled(image, y + down, x + right, "reflect")
    return image


def sampled(image: Array, rows: Array, columns: Array, mode: str) -> Array:
    return np.stack([ndimage.map_coordinates(image[..., c], [rows, columns], order=1, mode=mode) for c in range(3)], -1)


def pixelate(image: Array, share: float, random: Any) -> Array:
    for axis in (0, 1):
        side = image.shape[axis]
        image = boxed(boxed(image, int(side * share), axis), side, axis)
    return image


def boxed(image: Array, to: int, axis: int) -> Array:
    """Pillow's box filter along one axis."""
    side = image.shape[axis]
    step = side / to
    wide, middle = max(step, 1), (np.arange(to)[:, None] + 0.5) * step
    place = np.arange(side)
    inside = (place >= np.floor(middle - wide / 2 + 0.5)) & (place < np.floor(middle + wide / 2 + 0.5))
    away = (place - middle + 0.5) * (1 / wide)
    inside &= (away > -0.5) & (away <= 0.5)
    return np.moveaxis(np.tensordot(inside / inside.sum(1, keepdims=True), image, (1, axis)), 0, axis)


LUMA_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA_STEPS = np.full((8, 8), 99)
CHROMA_STEPS[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
YCC = np.array([[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]])
RGB = np.array([[1, 0, 1.402], [1, -0.344136286, -0.714136286], [1, 1.772, 0]])


def jpeg_compression(image: Array, quality: int, random: Any) -> Array:
    height, width = image.shape[:2]
    ycc = np.round(np.round(image * 255) @ YCC.T)
    share = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (np.clip((steps * share + 50) // 100, 1, 255) for steps in (LUMA_STEPS, CHROMA_STEPS))
    out = [blocks_rounded(filled(ycc[..., 0], 8, 8) - 128, luma)[:height, :width] + 128]
    for c in (1, 2):
        plane = filled(ycc[..., c], 2, 16)
        total = plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]
        small = filled((total + 1 + np.arange(total.shape[1]) % 2) // 4, 8, 8)
        small = blocks_rounded(small, chroma)[: -(-height // 2), : -(-width // 2)]
        out.append(np.round(doubled(doubled(small, 0), 1))[:height, :width])
    return np.round(np.stack(out, -1) @ RGB.T) / 255


def filled(plane: Array, down: int, across: int) -> Array:
    return np.pad(plane, [(0, -plane.shape[0] % down), (0, -plane.shape[1] % across)], mode="edge")


def blocks_rounded(plane: Array, steps: NDArray[np.int64]) -> Array:
    height, width = plane.shape
    blocks = plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
    coefficients = fft.dctn(blocks, axes=(2, 3), norm="ortho") / steps
    coefficients = np.sign(coefficients) * np.floor(np.abs(coefficients) + 0.5 + 1e-3)
    back = fft.idctn(coefficients * steps, axes=(2, 3), norm="ortho")
    return np.clip(np.floor(back + 0.5 + 1e-3), -128, 127).swapaxes(1, 2).reshape(height, width)


def doubled(plane: Array, axis: int) -> Array:
    """Twice as many along one axis, three quarters of the nearest and one of the next."""
    plane = plane.swapaxes(0, axis)
    around = np.concatenate([plane[:1], plane, plane[-1:]])
    pairs = np.stack([0.75 * plane + 0.25 * around[:-2], 0.75 * plane + 0.25 * around[2:]], 1)
    return pairs.reshape(-1, *plane.shape[1:]).swapaxes(0, axis)


def spatter(image: Array, settings: tuple[float, ...], random: Any) -> Array:
    mean, deviation, sigma, threshold, strength, mud = settings
    scale = scale_of(image)
    layer = mean + deviation * grains(random.normal(0, 1, image.shape[:2]), sigma, scale, "nearest", 4)
    if mud:
        cover = ndimage.gaussian_filter((layer > threshold).astype(float), strength * scale, mode="nearest")
        cover = np.where(cover < 0.8, 0, cover)[..., None]
        return image * (1 - cover) + cover * np.array([63, 42, 20]) / 255
    layer = np.where(layer < threshold, 0, layer)
    shine = layer * relief(layer > 0, scale)
    return image + strength * (shine / max(shine.max(), 1e-12))[..., None] * np.array([175, 238, 238]) / 255


def relief(wet: NDArray[np.bool_], scale: float) -> Array:
    """The lit relief of the distance to the rims of drops."""
    reach = max(1, round(scale))
    inner = ndimage.binary_erosion(np.pad(wet, 1, mode="edge"), border_value=True)[1:-1, 1:-1]
    rims = wet & ~inner
    distance = ndimage.distance_transform_edt(~rims) if rims.any() else np.full(wet.shape, np.inf)
    distance = ndimage.uniform_filter(np.minimum(distance, 20 * scale), 2 * reach + 1, mode="mirror")
    level = np.floor(distance + 1e-9).astype(int)
    counts = np.bincount(level.ravel()).cumsum()
    least = counts[level.min()]
    even = (counts - least) / max(level.size - least, 1) if least < level.size else np.ones(len(counts))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    kernel[::reach, ::reach] = [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
    lit = np.clip(ndimage.correlate(even[level], kernel, mode="mirror"), 0, 1)
    return ndimage.uniform_filter(lit, 2 * reach + 1, mode="mirror")


FUNCTIONS: dict[str, Callable[[Array, Any, Any], Array]] = {
    f.__name__: f
    for f in (
        *(
            gaussian_noise,
            shot_noise,
            impulse_noise,
            defocus_blur,
            glass_blur,
            motion_blur,
            zoom_blur,
            snow,
            frost,
            fog,
        ),
        *(brightness, contrast, elastic_transform, pixelate, jpeg_compression),
        *(speckle_noise, gaussian_blur, spatter, saturate),
    )
}
