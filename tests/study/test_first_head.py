"""The default head and the sweep of a store that it is chosen by."""

from __future__ import annotations

import numpy as np
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.study.first_head import sweep_tracking

LAG = np.arange(-40, 41)


def swept(periods: dict[str, tuple[float, float]]) -> xr.Dataset:
    """A store's signals, name: (period in samples, samples per patch); the second of two heads follows the period."""
    flat = np.full(len(LAG), 0.2)
    curves = [
        [[flat, flat + np.exp(-0.5 * ((LAG - period / patch) / 0.8) ** 2) if period > 0 else flat]]
        for period, patch in periods.values()
    ]
    return xr.Dataset(
        {
            schema.LAG_ATTENTION: ((schema.SIGNAL, schema.LAYER, schema.HEAD, schema.LAG), np.array(curves)),
            schema.COMPONENT_PERIOD: (
                (schema.SIGNAL, schema.COMPONENT), [[period or np.nan] for period, _ in periods.values()]
            ),
            schema.SAMPLES_PER_PATCH: (schema.SIGNAL, [patch for _, patch in periods.values()]),
        },
        {schema.SIGNAL: list(periods), schema.LAG: LAG},
    )  # fmt: skip


def test_signals_of_a_sweep_may_have_other_lengths_and_one_without_a_known_period_is_none_of_it():
    sweep = {f"sweep_{n}": (float(n), 16.0) for n in range(64, 320, 32)} | {"ar1": (0.0, 16.0)}
    plain = sweep_tracking(swept(sweep))
    odd = {"sweep_short": (50.0, 4.0), "sweep_of_my_own": (0.0, 16.0), "sweep_long": (700.0, 64.0)}
    for store in (sweep, sweep | odd):
        found = sweep_tracking(swept(store))
        assert found.tracks.tolist() == [[False, True]]
        np.testing.assert_allclose(found.slope[0, 1], plain.slope[0, 1], rtol=0.01)
    unknown = swept(sweep).isel({schema.COMPONENT: slice(0)})  # of no signal is a period known
    assert sweep_tracking(unknown) is None
    few = {"sweep_a": (64.0, 16.0), "sweep_b": (96.0, 16.0), "sweep_c": (0.0, 16.0), "ar1": (0.0, 16.0)}
    assert sweep_tracking(swept(few)) is None
