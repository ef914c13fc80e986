"""Attention maps as PNG data URLs: one image mark instead of thousands of rectangles."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageColor

LEVELS = 255  # shades; the palette's last entry is transparent, for cells without a value


def palette(colours: Sequence[str]) -> NDArray[np.uint8]:
    """(256, 3): the colours interpolated linearly over `LEVELS` shades, and one entry for missing cells."""
    anchors = np.array([ImageColor.getrgb(colour) for colour in colours], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, LEVELS)
    shades = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)
    return np.concatenate((shades.round(), np.zeros((1, 3)))).astype(np.uint8)


def png_url(shade: ArrayLike, colours: Sequence[str]) -> str:
    """Encode shades 0 … 1, (rows, columns), as an image with the first row on top; NaN is transparent."""
    values = np.asarray(shade, dtype=np.float64)
    index = np.where(np.isfinite(values), np.nan_to_num(values) * (LEVELS - 1) + 0.5, LEVELS).astype(np.uint8)
    image = Image.fromarray(index, mode="P")
    image.putpalette(palette(colours).tobytes())
    png = io.BytesIO()
    image.save(png, "PNG", transparency=LEVELS)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")


def shrink(maps: ArrayLike, pixels: int) -> NDArray[np.float64]:
    """Average finite square maps (..., n, n) until all of them together have at most about `pixels` cells.

    Every cell is the mean over an equal part of the map: where the parts do not end between patches, a patch counts in
    two cells by its share of each.
    """
    values = np.asarray(maps, dtype=np.float64)
    n = values.shape[-1]
    block = int(np.ceil(np.sqrt(max(values.size / pixels, 1))))
    size = max(n // block, 1)
    edges, patches = np.linspace(0, n, size + 1), np.arange(n)
    overlap = np.minimum(edges[1:, None], patches + 1) - np.maximum(edges[:-1, None], patches)
    share = np.clip(overlap, 0, None) * size / n  # (size, n), rows sum to 1
    means: NDArray[np.float64] = share @ values @ share.T
    return means


def mosaic(shades: ArrayLike, gap: int = 2) -> NDArray[np.float64]:
    """Arrange pictures (layer, head, rows, columns) on one image, each with half a transparent gap around it."""
    values = np.asarray(shades, dtype=np.float64)
    layers, heads, rows, columns = values.shape
    framed = np.pad(values, ((0, 0), (0, 0), (gap // 2, gap // 2), (gap // 2, gap // 2)), constant_values=np.nan)
    edge = 2 * (gap // 2)
    return framed.transpose(0, 2, 1, 3).reshape(layers * (rows + edge), heads * (columns + edge))


def sparks(curves: ArrayLike, height: int, width: int, shade: float) -> NDArray[np.float64]:
    """Draw curves (..., lags) as filled pictures (..., height, width) of one shade on a transparent background.

    Each curve has its own scale, from 0 to its largest value; NaN is drawn as 0.
    """
    values = np.nan_to_num(np.asarray(curves, dtype=np.float64))
    at = np.linspace(0, values.shape[-1] - 1, width)
    stretched = np.apply_along_axis(lambda curve: np.interp(at, np.arange(len(curve)), curve), -1, values)
    largest = stretched.max(axis=-1, keepdims=True)
    filled = stretched / np.where(largest > 0, largest, 1)  # (..., width)
    levels = 1 - (np.arange(height) + 0.5) / height  # at the middle of each row, top first
    pictures: NDArray[np.float64] = np.where(filled[..., None, :] >= levels[:, None], shade, np.nan)
    return pictures
