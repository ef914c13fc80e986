"""Networks of the published architecture with planted heads, whose answers are known before anything is asked.

    copier()             looks one period back, and the forecast is what it finds there
    inert_copier()       the same attention with values of zero: looks, and does not matter
    even_head()          attends evenly to all of its row; the forecast is made of it: matters, and does not look back
    redundant_copiers()  two copiers: each alone seems to matter little, both together are all there is
    comb_copier()        one head over one, two and three periods: mask one tooth, and the others supply the same
    matcher()            ink looks for ink in its row: follows any period, and nothing is made of it
    sharpened(seed)      random weights with sharpened scores: attention that depends on content and means nothing

The 2-D sin-cos positions make a head that looks at chosen lags constructible: a score Σ a cos f Δ + b sin f Δ over
the leading column frequencies is bilinear in query and key, and a linear program finds the coefficients that lift the
chosen lags furthest above all others. Ink travels in the row channels of lowest frequency, which are nearly constant
over the grid; all other parts of the blocks are silenced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from vitime_cache.attention.forward import open_blocks
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Harmonic, Signal, compose

Head = tuple[str, int]

LAG = 8  # patches: the period that planted heads look back
SAMPLES_PER_PATCH = 4
PERIOD = LAG * SAMPLES_PER_PATCH  # samples
N_HISTORY, HORIZON = 32 * SAMPLES_PER_PATCH, LAG * SAMPLES_PER_PATCH  # 32 and 8 of 40 patches
LAYER = "decoder.0"

CONFIG = ViTimeConfig(
    image_height=64, context_columns=256, horizon_columns=64, patch_height=8, patch_width=8,
    encoder_width=128, encoder_depth=1, decoder_width=128, decoder_depth=1, heads=4,
)  # fmt: skip

QUARTER = CONFIG.decoder_width // 4  # channels: column sin, column cos, row sin, row cos, a quarter each
FEATURES = 4  # ink of a token by quarter of its height
SOURCE = [2 * QUARTER + i for i in range(27, 27 + FEATURES)]  # where a token's own ink travels
COPIED = [2 * QUARTER + i for i in range(23, 23 + FEATURES)]  # where heads put what they found; drawn at the end
ZERO = 3 * QUARTER - 1  # nearly 0 everywhere: taken from every channel read, it undoes the mean that LayerNorm takes
COLUMN_PAIRS, ROW_PAIRS = 12, 4
INK = 0.1  # of a token's ink in its channels: small, so that LayerNorm scales all tokens alike
FULL = 2.0 * INK  # what fully inked pixels put into a channel, about
CONTRAST = 12.0  # nats between a wanted lag and the best other one
SHARPNESS = 100.0


@dataclass(frozen=True, eq=False)
class Planted:
    """A network and the heads that were planted in it."""

    name: str
    model: ViTime
    heads: tuple[Head, ...]
    looks: bool
    matters: bool


def copier(lag: int = LAG) -> Planted:
    """One head that copies the ink of the same row `lag` patches back."""
    model = _silent("copier")
    _plant(model, 1, [lag])
    return Planted("copier", model, ((LAYER, 1),), looks=True, matters=True)


def inert_copier(lag: int = LAG) -> Planted:
    """The copier's attention with values of zero."""
    model = _silent("inert copier")
    _plant(model, 1, [lag], strength=0.0)
    return Planted("inert copier", model, ((LAYER, 1),), looks=True, matters=False)


def even_head() -> Planted:
    """A head that attends evenly to all columns of its row: the forecast is how often the series has been there."""
    model = _silent("even head")
    _plant(model, 1, [], strength=4.0, contrast=2.0)  # the softer, the less LayerNorm's unevenness shows
    return Planted("even head", model, ((LAYER, 1),), looks=False, matters=True)


def redundant_copiers(lag: int = LAG) -> Planted:
    """Two heads that copy the same ink, of which either is enough."""
    model = _silent("redundant copiers")
    for head in (1, 2):
        _plant(model, head, [lag])
    return Planted("redundant copiers", model, ((LAYER, 1), (LAYER, 2)), looks=True, matters=True)


def comb_copier(lag: int = LAG) -> Planted:
    """One head that copies from one, two and three times `lag` patches back alike."""
    model = _silent("comb copier")
    _plant(model, 1, [lag, 2 * lag, 3 * lag])
    return Planted("comb copier", model, ((LAYER, 1),), looks=True, matters=True)


def matcher() -> Planted:
    """A head by which ink looks for ink in its own row: in a periodic series it lies one period back, whatever the
    period. The forecast's tokens have no ink yet, attend evenly, and copy nothing: looks and tracks, does not matter.
    """
    model = _silent("matcher")
    _plant(model, 1, [], strength=0.0, contrast=6.0, ink=2.0)
    return Planted("matcher", model, ((LAYER, 1),), looks=True, matters=False)


def sharpened(seed: int = 0, factor: float = 4.0) -> Planted:
    """Random weights with queries and keys scaled up: whatever is claimed of a head is false."""
    torch.manual_seed(seed)
    model = ViTime(CONFIG).eval().requires_grad_(False)
    for block in open_blocks(model).values():
        block.attn.qkv.weight[: 2 * block.attn.attn_dim] *= factor
    model.weights = WeightsInfo("planted", note=f"sharpened random weights, seed {seed}")
    return Planted(f"sharpened random {seed}", model, (), looks=False, matters=False)


def question(seed: int = 0, *, period: float = PERIOD, noise: float = 0.1, harmonics: int = 2) -> Signal:
    """A periodic series of the planted networks' geometry: random phases and amplitudes, white noise, known future."""
    rng = np.random.default_rng(seed)
    parts = [
        Harmonic(period / k, amplitude=rng.uniform(0.5, 1.5) / k, phase=rng.uniform(0, 2 * np.pi))
        for k in range(1, harmonics + 1)
    ]
    return compose(f"question {seed}", parts, n=N_HISTORY, horizon=HORIZON, noise=noise, seed=seed)


def lag_score(wanted: Sequence[int], frequencies: np.ndarray, reach: int) -> tuple[np.ndarray, float]:
    """Coefficients of Σ a cos f Δ + b sin f Δ that is 1 at the wanted lags and as small as can be at all others.

    Returns
    -------
    Coefficients (frequency, 2), and how far the best other lag in -reach … reach lies below 1.
    """
    lag = np.arange(-reach, reach + 1)
    angle = np.outer(lag, frequencies)
    basis = np.concatenate((np.cos(angle), np.sin(angle)), axis=1)
    is_wanted = np.isin(lag, wanted)
    others = np.concatenate((basis[~is_wanted], np.ones((int((~is_wanted).sum()), 1))), axis=1)
    exact = np.concatenate((basis[is_wanted], np.zeros((len(wanted), 1))), axis=1)
    cost = np.zeros(basis.shape[1] + 1)
    cost[-1] = -1  # the margin
    bounds = [(-4.0, 4.0)] * basis.shape[1] + [(None, None)]
    solved = linprog(cost, others, np.ones(len(others)), exact, np.ones(len(wanted)), bounds)
    if solved.x is None or solved.x[-1] < 0.02:
        raise ValueError(f"no score lifts the lags {list(wanted)} above all others")
    return solved.x[:-1].reshape(2, -1).T, float(solved.x[-1])


def _silent(name: str) -> ViTime:
    """A network that draws what stands in its `COPIED` channels, and whose heads and MLPs put nothing there."""
    torch.manual_seed(0)
    model = ViTime(CONFIG).eval().requires_grad_(False)
    model.weights = WeightsInfo("planted", note=f"planted: {name}")
    model.cls_token.zero_()
    for block in open_blocks(model).values():
        for part in (block.attn.proj, block.mlp.fc2):
            part.weight.zero_()
            part.bias.zero_()
    embed = model.patch_embed.proj
    embed.weight.zero_()
    assert embed.bias is not None
    embed.bias.zero_()
    height = CONFIG.patch_height // FEATURES
    for feature, channel in enumerate(SOURCE):
        rows = slice(feature * height, (feature + 1) * height)
        embed.weight[channel, 0, rows] = INK / (height * CONFIG.patch_width)
    model.decoder_embed.weight.zero_()
    model.decoder_embed.bias.zero_()
    scale = _layer_norm_scale(model.pos_embed)
    for channel in SOURCE:
        _read(model.decoder_embed.weight, channel, channel, scale)
    draw = model.decoder_pred
    draw.weight.zero_()
    draw.bias.zero_()
    for pixel in range(draw.out_features):
        feature = pixel // CONFIG.patch_width // height
        _read(draw.weight, pixel, COPIED[feature], SHARPNESS * _layer_norm_scale(model.decoder_pos_embed))
    return model


def _plant(
    model: ViTime,
    head: int,
    lags: Sequence[int],
    strength: float = 1.0,
    contrast: float = CONTRAST,
    ink: float = 0.0,
) -> None:
    """Make a head of `LAYER` attend to its own row `lags` patches back (evenly without any) and copy the ink there.

    With `ink`, full ink on both sides adds that many nats to a score, each quarter of a token's height by itself.
    """
    attention = open_blocks(model)[LAYER].attn
    width, size = attention.attn_dim, attention.head_dim
    scale = _layer_norm_scale(model.decoder_pos_embed)
    frequency = 10000.0 ** -(np.arange(QUARTER) / QUARTER)
    rows = slice(head * size, (head + 1) * size)
    q, k, v = (attention.qkv.weight[part * width : (part + 1) * width][rows] for part in range(3))  # views
    for weight in (q, k, v):
        weight.zero_()
    for part in range(3):
        attention.qkv.bias[part * width : (part + 1) * width][rows] = 0
    gh, gw = CONFIG.grid
    parts: list[tuple[int, int, Sequence[int], int, int]] = [(2 * QUARTER, ROW_PAIRS, [0], gh - 1, 0)]
    if lags:
        parts.append((0, COLUMN_PAIRS, lags, gw - 1, ROW_PAIRS))
    for offset, pairs, wanted, reach, start in parts:
        coefficients, margin = lag_score(wanted, frequency[:pairs], reach)
        gain = scale**2 * size**0.5 * contrast / margin
        for i, (a, b) in enumerate(coefficients):
            sine, cosine, place = offset + i, offset + QUARTER + i, 2 * (start + i)
            _read(k, place, sine, 1.0)
            _read(k, place + 1, cosine, 1.0)
            # a cos f(q - k) + b sin f(q - k) = (a sin q - b cos q) sin k + (a cos q + b sin q) cos k
            _read(q, place, sine, gain * a)
            _read(q, place, cosine, -gain * b)
            _read(q, place + 1, cosine, gain * a)
            _read(q, place + 1, sine, gain * b)
    for i, source in enumerate(SOURCE):
        place = 2 * (ROW_PAIRS + COLUMN_PAIRS) - FEATURES + i  # the last column pairs: free where no lag is wanted
        if ink:
            _read(k, place, source, scale / FULL)
            _read(q, place, source, scale / FULL * ink * size**0.5)
    for i, (source, copied) in enumerate(zip(SOURCE, COPIED, strict=True)):
        _read(v, i, source, scale)
        attention.proj.weight[copied, head * size + i] = strength


def _read(weight: Tensor, row: int, channel: int, gain: float) -> None:
    """Add `gain` times a channel to what `weight` puts into `row`, free of the mean that LayerNorm takes away."""
    weight[row, channel] += gain
    weight[row, ZERO] -= gain


def _layer_norm_scale(positions: Tensor) -> float:
    """What LayerNorm divides a token by, mean over positions; ink adds little to it."""
    return float(positions[0, 1:].std(dim=-1, correction=0).mean())
