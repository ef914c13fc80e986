"""A stand-in for the model in tests of the store: arrays drawn from a signal's fingerprint, without torch.

`capture_batch` is given to a build as what runs the model, so that all else is the real thing. The attention it makes
is consistent: rows sum to what CLS leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.lags import lag_means
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.sources import Harmonic, Signal
from vitime_cache.store import build as building
from vitime_cache.store import commit  # noqa: F401  (imported here so that forked children need not)
from vitime_cache.store import verify as verifying
from vitime_cache.store.manifest import HIDDEN

CONFIG = ViTimeConfig(
    image_height=16, context_columns=20, horizon_columns=28, patch_height=8, patch_width=8,
    encoder_width=8, encoder_depth=1, decoder_width=8, decoder_depth=1, heads=2,
)  # fmt: skip
WEIGHTS = WeightsInfo("standin", "5" * 64, "made up")


class Model:
    """What a build asks of a model."""

    def __init__(self, config: ViTimeConfig = CONFIG, weights: WeightsInfo = WEIGHTS, dtype: str = "float32") -> None:
        self.config, self.weights, self.dtype = config, weights, f"torch.{dtype}"
        self.device = torch.device("cpu")


def make_signal(name: str, n: int = 30, horizon: int = 42, harmonics: int = 0, seed: int = 0) -> Signal:
    rng = np.random.default_rng([seed, *name.encode()])
    known = tuple(Harmonic(float(period)) for period in rng.uniform(4, 20, harmonics))
    return Signal(name, rng.standard_normal(n), horizon, f"the signal {name}", known)


def make_signals(count: int, **kwargs: Any) -> list[Signal]:
    return [make_signal(f"s{i}", **kwargs) for i in range(count)]


def token_map(config: ViTimeConfig, signal: Signal, layer: str, head: int) -> np.ndarray:
    """(N, 1 + N) rows of a softmax, CLS first."""
    rng = np.random.default_rng([int(signal.fingerprint[:8], 16), config.layers.index(layer), head])
    weights = rng.exponential(size=(config.tokens, 1 + config.tokens))
    return weights / weights.sum(axis=1, keepdims=True)


def capture_batch(
    model: Model, signals: Sequence[Signal], tokens: Sequence[str] = (), on_tokens: Callable[..., None] | None = None
) -> list[dict[str, np.ndarray]]:
    config = model.config
    rows, columns = config.grid
    results = []
    for i, signal in enumerate(signals):
        shape = (len(config.layers), config.heads)
        time, cls = np.empty((*shape, columns, columns)), np.empty((*shape, config.tokens))
        for number, layer in enumerate(config.layers):
            for head in range(config.heads):
                weights = token_map(config, signal, layer, head)
                cls[number, head] = weights[:, 0]
                time[number, head] = weights[:, 1:].reshape(rows, columns, rows, columns).mean(axis=(0, 2))
                if layer in tokens and on_tokens:
                    on_tokens(i, layer, head, weights[:, 1:].astype(np.float16))
        length = len(signal.values) + signal.horizon
        is_history = np.arange(length) < len(signal.values)
        history = np.concatenate([signal.values, np.full(signal.horizon, np.nan)])
        forecast = np.where(is_history, np.nan, np.arange(length))
        arrays = {
            "time_attention": time,
            "lag_attention": lag_means(time)[1],
            "cls_attention": cls,
            "history": history,
            "forecast": forecast,
            "forecast_quantile": forecast + np.array(schema.QUANTILES)[:, None],
            "component_period": np.array([harmonic.period for harmonic in signal.harmonics]),
            "component_amplitude": np.array([harmonic.amplitude for harmonic in signal.harmonics]),
        }
        results.append({name: values.astype(schema.VARIABLES[name].dtype) for name, values in arrays.items()})
    return results


def build(signals: Sequence[Signal], store: str | Path, model: Any = None, **options: Any) -> building.BuildReport:
    """A build by this stand-in, signal by signal, unless the options say otherwise."""
    return building.build(signals, store, model or Model(), **({"capture": capture_batch, "batch_size": 1} | options))


def verify(path: str | Path, model: Any = None, *args: Any, **options: Any) -> verifying.Verification:
    """A verification by this stand-in, or by what `capture` names."""
    return verifying.verify(path, model, *args, **({"capture": capture_batch} | options))


def expected(config: ViTimeConfig, signal: Signal, tokens: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Every array that a store should hold of a signal."""
    tokens = config.layers if tokens is None else tuple(tokens)
    key = config, signal.fingerprint, tokens
    if key not in _expected:
        shape = (len(config.layers), config.heads, config.tokens, config.tokens)
        maps = np.full(shape, np.nan, np.float16)

        def keep(_: int, layer: str, head: int, weights: np.ndarray) -> None:
            maps[config.layers.index(layer), head] = weights

        (arrays,) = capture_batch(Model(config), [signal], tokens, keep)
        _expected[key] = arrays | ({"token_attention": maps} if tokens else {})
    return _expected[key]


def assert_holds(ds: xr.Dataset, signals, config=CONFIG, tokens=None) -> None:
    """`ds` holds exactly these signals, bit for bit, NaN beyond their own time and components."""
    assert list(ds.signal.values) == [signal.name for signal in signals]
    assert ds.complete.values.all()
    for place, signal in enumerate(signals):
        one = ds.isel(signal=place)
        for name, values in expected(config, signal, tokens).items():
            stored = one[name].values
            own = tuple(slice(0, length) for length in values.shape)
            np.testing.assert_array_equal(stored[own], values, err_msg=f"{name} of {signal.name}")
            assert np.isnan(stored).sum() == np.isnan(values).sum() + stored.size - values.size
        for name, value in schema.signal_coordinates(signal, config).items():
            assert one[name].values.item() == value


_expected: dict[tuple, dict[str, np.ndarray]] = {}


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder, but the note that signals were hidden, which a store without a past lacks."""
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {name: path.read_bytes() for path in found if (name := str(path.relative_to(root))) != HIDDEN}
