"""Signals: what they accept, the catalogue against its formulas, composed and read signals, and their fingerprints."""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import chirp

from vitime_cache.series import examples as experiments
from vitime_cache.series import formulas
from vitime_cache.series.sources import (
    Harmonic,
    Signal,
    SignalError,
    catalogue,
    check_signals,
    compose,
    parse_values,
    read_signals,
)

amplitudes = st.floats(-100, 100)
harmonics = st.builds(Harmonic, period=st.floats(2, 1e4), amplitude=amplitudes, phase=st.floats(-10, 10))


@pytest.fixture(scope="module")
def named() -> dict[str, Signal]:
    return {signal.name: signal for signal in catalogue()}


def toml(text: str, **options: int) -> list[Signal]:
    return read_signals(io.BytesIO(text.encode()), name="f.toml", **options)


def whole(signal: Signal) -> np.ndarray:
    return np.concatenate([signal.values, signal.future])


# The catalogue.


def test_the_reference_experiments_are_those_of_the_study(named):
    n = np.arange(512)
    full = np.sin(n / 10) + np.sin(n / 5 + 50) + np.cos(n + 50)
    np.testing.assert_allclose(named["full"].values, full, rtol=0, atol=1e-12)
    np.testing.assert_allclose(named["reduced_harmonic"].values, full - np.sin(n / 10), rtol=0, atol=1e-12)
    assert named["full"].horizon == named["reduced_harmonic"].horizon == 720
    assert named["reduced_harmonic"].reduced_of == "full"
    assert [round(h.period, 2) for h in named["full"].harmonics] == [62.83, 31.42, 6.28]


def test_the_harmonics_alone_add_up_to_the_full_signal(named):
    alone = [whole(named[name]) for name in ("harmonic_63", "harmonic_31", "harmonic_6")]
    np.testing.assert_allclose(np.sum(alone, axis=0), whole(named["full"]), atol=1e-12)


def test_the_future_of_a_formula_is_the_formula_continued(named):
    n = np.arange(512, 512 + 720)
    np.testing.assert_allclose(named["full"].future, np.sin(n / 10) + np.sin(n / 5 + 50) + np.cos(n + 50), atol=1e-11)
    np.testing.assert_array_equal(named["constant"].future, np.ones(720))


def test_the_sweep_has_twelve_periods_in_equal_ratios_and_each_is_the_period_of_its_series(named):
    sweep = [signal for name, signal in named.items() if name.startswith("sweep_")]
    periods = [signal.harmonics[0].period for signal in sweep]
    assert len(sweep) == 12
    np.testing.assert_allclose(periods, np.geomspace(32, 256, 12), rtol=0.02)
    for signal, period in zip(sweep, periods, strict=True):
        series = whole(signal)
        assert signal.name == f"sweep_{period:03.0f}"
        np.testing.assert_allclose(series[int(period) :], series[: -int(period)], atol=1e-9)


def test_the_listed_harmonics_of_the_square_wave_are_those_of_its_spectrum(named):
    square = named["square"]
    assert set(np.unique(square.values)) == {-1.0, 1.0}
    spectrum = np.abs(np.fft.rfft(square.values)) * 2 / 512
    for harmonic in square.harmonics:
        assert spectrum[round(512 / harmonic.period)] == pytest.approx(harmonic.amplitude)
    n = np.arange(512)
    odd = [Harmonic(64 / k, 4 / 64 / math.sin(k * math.pi / 64), k * math.pi / 64) for k in range(1, 32, 2)]
    assert square.harmonics == tuple(odd[:3])
    np.testing.assert_allclose(sum(harmonic.at(n) for harmonic in odd), square.values, atol=1e-12)


def test_the_chirp_sweeps_linearly_in_frequency_from_its_first_to_its_last_period(named):
    n = np.arange(512 + 720)
    expected = chirp(n, f0=1 / 192, t1=n[-1], f1=1 / 32, phi=-90)  # scipy's is a cosine
    np.testing.assert_allclose(whole(named["chirp"]), expected, atol=1e-9)


def test_trend_and_season_come_apart_by_regression(named):
    series, n = whole(named["trend_season"]), np.arange(512 + 720)
    terms = np.stack([np.ones_like(n), n, np.sin(2 * np.pi * n / 96), np.cos(2 * np.pi * n / 96)], axis=1)
    fitted = np.linalg.lstsq(terms, series)[0]
    np.testing.assert_allclose(fitted, [0, 4 / 512, 1, 0], atol=1e-10)


def test_the_nulls_have_the_correlations_they_claim(named):
    def correlation(series: np.ndarray, lag: int) -> float:
        return float(np.corrcoef(series[lag:], series[:-lag])[0, 1])

    assert correlation(whole(named["ar1"]), 1) == pytest.approx(0.9, abs=0.04)
    assert whole(named["ar1"]).std() == pytest.approx(1 / math.sqrt(1 - 0.81), rel=0.25)
    assert max(abs(correlation(whole(named["white_noise"]), lag)) for lag in range(1, 100)) < 0.13
    assert whole(named["white_noise"]).std() == pytest.approx(1, abs=0.06)


def test_a_real_series_is_the_end_of_its_file_with_the_future_held_out(named):
    assert len(experiments.REAL_SERIES) >= 3
    for real in experiments.REAL_SERIES:
        table = pd.read_csv(experiments.DATA / f"{real.name}.csv")
        np.testing.assert_array_equal(
            whole(named[real.name]), table[real.name].to_numpy()[-len(whole(named[real.name])) :]
        )
        assert (named[real.name].horizon, len(named[real.name].values)) == (real.horizon, real.history)


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("sunspots", 11),
        ("co2_mauna_loa", 365.25 / 7),
        ("seattle_temperature", 365.25),
        ("el_nino", 12),
        ("greensboro_temperature", 24),
    ],
)
def test_the_main_period_of_a_real_series_is_as_described_and_spans_two_patches_or_more(named, name, period):
    series = whole(named[name])
    n = np.arange(len(series))
    detrended = series - np.polyval(np.polyfit(n, series, 2), n)
    spectrum = np.abs(np.fft.rfft(detrended * np.hanning(len(n)), 16 * len(n)))
    found = 16 * len(n) / spectrum.argmax()
    assert found == pytest.approx(period, rel=0.1)
    assert f"{period:.0f}" in named[name].description or f"{period:.1f}" in named[name].description
    patch = len(series) / 77
    assert period >= 2 * patch


def test_catalogue_names_are_short_fit_into_a_url_and_do_not_change():
    names = [signal.name for signal in catalogue()]
    check_signals(catalogue())
    assert all(re.fullmatch(r"[a-z0-9_]{1,24}", name) for name in names)
    assert names == (
        ["full", "reduced_harmonic", "harmonic_63", "harmonic_31", "harmonic_6"]
        + [f"sweep_{period:03}" for period in (32, 39, 47, 56, 68, 82, 99, 120, 145, 175, 212, 256)]
        + ["chirp", "square", "trend_season", "ar1", "white_noise", "constant"]
        + ["sunspots", "co2_mauna_loa", "seattle_temperature", "el_nino", "greensboro_temperature", "nile"]
    )
    assert all(signal.description and signal.future is not None for signal in catalogue())


# A signal and its fingerprint.


def test_a_signal_keeps_a_copy_that_nobody_can_change():
    values = np.arange(3.0)
    signal = Signal("a", values, horizon=2, future=[1, 2])
    values[0] = 9
    assert signal.values.tolist() == [0, 1, 2]
    assert signal.known[0] == 0
    for each in (signal, copy.copy(signal), copy.deepcopy(signal), pickle.loads(pickle.dumps(signal))):
        assert each.fingerprint == signal.fingerprint
        for kept in (each.values, each.future, each.known):
            with pytest.raises(ValueError, match="read-only"):
                kept[0] = 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "a\nb"}, r"one line.*'a\\nb'"),
        ({"name": " a"}, "no blanks around it, got ' a'"),
        ({"name": "x" * 201}, "at most 200"),
        ({"name": 5}, "must be a text, got 5"),
        ({"description": "\ud800"}, "printable"),
        ({"values": [1.0]}, r"signal 'a' has 1 sample"),
        ({"values": []}, r"has 0 sample"),
        ({"values": [1.0, np.nan]}, r"signal 'a', sample 1: nan"),
        ({"values": [1.0, 2.0, -np.inf]}, r"sample 2: -inf"),
        ({"values": [1e31, 2.0]}, r"sample 0: 1e\+31.*rescale"),
        ({"values": [[1.0, 2.0]]}, r"shape \(1, 2\)"),
        ({"values": [[1.0], [1.0, 2.0]]}, r"list of numbers"),
        ({"values": ["1", "2"]}, r"type <U1"),
        ({"values": [True, False]}, r"type bool"),
        ({"values": np.zeros(1_000_001)}, r"1000001 samples"),
        ({"horizon": 0}, r"horizon must be a whole number from 1 to 1000000, got 0"),
        ({"horizon": -720}, r"got -720"),
        ({"horizon": 1.5}, r"got 1.5"),
        ({"horizon": True}, r"got True"),
        ({"horizon": "720"}, r"got '720'"),
        ({"horizon": 1_000_001}, r"got 1000001"),
        ({"filled": 4}, r"filled must be a whole number from 0 to 3, got 4"),
        ({"sample_seconds": -1}, r"sample_seconds must not be negative, got -1"),
        ({"future": [1.0]}, r"future has 1 samples, its horizon 720"),
        ({"future": [np.nan] * 720}, r"the future of signal 'a', sample 0: nan"),
        ({"reduced_of": "a"}, r"reduction of itself"),
        ({"reduced_of": None}, r"reduced_of must be a text"),
        ({"harmonics": (64,)}, r"got 64"),
        ({"harmonics": [Harmonic(9)] * 1001}, r"1001 harmonics"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_signal_refuses_what_no_store_could_hold(changes, message):
    with pytest.raises(SignalError, match=message):
        Signal(**({"name": "a", "values": [1.0, 2.0, 3.0]} | changes))


def test_a_constant_series_is_legal():
    assert Signal("a", [5, 5, 5]).values.tolist() == [5, 5, 5]
    assert parse_values("0 0 0", "zero").values.tolist() == [0, 0, 0]


def test_the_fingerprint_changes_with_everything_that_reaches_a_store_and_with_nothing_else():
    base = Signal("a", [1.0, 2.0, 4.0], horizon=2)
    changed = [
        replace(base, name="b"),
        replace(base, values=[1.0, 2.0, 4.001]),
        replace(base, values=[1.0, 2.0, 4.0, 4.0]),
        replace(base, values=base.values + 1),
        replace(base, values=base.values * 2),
        replace(base, horizon=3),
        replace(base, description="x"),
        replace(base, harmonics=(Harmonic(9),)),
        replace(base, harmonics=(Harmonic(9, phase=1),)),
        replace(base, reduced_of="x"),
        replace(base, filled=1),
        replace(base, sample_seconds=3600),
        replace(base, values=[1.0, 1.0, 1.0]),
        replace(base, values=[1.2, 1.2, 1.2]),
    ]
    prints = [signal.fingerprint for signal in [base, *changed]]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in prints)
    assert replace(base, future=[1.0, 1.0]).fingerprint == base.fingerprint
    assert Signal("a", [1, 2, 4], horizon=2).fingerprint == base.fingerprint


@given(st.floats(1e-30, 1e20), st.floats(0, 10), st.integers(0, 99))
def test_the_fingerprint_tells_series_apart_whatever_their_scale_and_offset(scale, offset, sample):
    values = scale * (np.sin(np.arange(100)) + offset)
    other = values.copy()
    other[sample] += scale * 1e-5
    assert Signal("a", values).fingerprint != Signal("a", other).fingerprint


def test_the_fingerprint_forgives_the_last_bit_in_which_processors_differ():
    for signal in catalogue()[:20]:
        for toward in (-np.inf, np.inf):
            nudged = replace(signal, values=np.nextafter(signal.values, toward))
            assert nudged.fingerprint == signal.fingerprint


def test_another_horizon_keeps_the_future_that_is_known():
    signal = Signal("a", [1, 2, 3], horizon=2, future=[4, 5])
    assert signal.with_horizon(1).future.tolist() == [4]
    assert signal.with_horizon(3).future is None
    assert signal.with_horizon(3).horizon == 3
    with pytest.raises(SignalError, match="got 0"):
        signal.with_horizon(0)


# Composed signals.


@given(st.lists(harmonics, max_size=4), st.integers(2, 40), st.integers(1, 40))
def test_a_composed_signal_is_the_sum_of_its_harmonics(parts, n, horizon):
    signal = compose("a", parts, n=n, horizon=horizon)
    expected = [
        sum(h.amplitude * math.sin(2 * math.pi * i / h.period + h.phase) for h in parts) for i in range(n + horizon)
    ]
    np.testing.assert_allclose(whole(signal), expected, rtol=0, atol=1e-9)
    assert (len(signal.values), signal.horizon, signal.harmonics) == (n, horizon, tuple(parts))


def test_noise_has_its_deviation_repeats_with_its_seed_and_does_not_depend_on_the_horizon():
    noisy = compose("a", [Harmonic(50)], noise=0.5, seed=3, n=5000)
    residual = noisy.values - compose("a", [Harmonic(50)], n=5000).values
    assert residual.std() == pytest.approx(0.5, rel=0.05)
    assert abs(residual.mean()) < 0.03
    np.testing.assert_array_equal(
        compose("a", [Harmonic(50)], noise=0.5, seed=3, n=5000, horizon=7).values, noisy.values
    )
    assert not np.array_equal(compose("a", [Harmonic(50)], noise=0.5, seed=4, n=5000).values, noisy.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": 0}, "at least 2 samples, got 0"),
        ({"period": -64}, "at least 2 samples, got -64"),
        ({"period": 1.99}, "got 1.99"),
        ({"period": math.nan}, "period of a harmonic must be a finite number .* got nan"),
        ({"period": math.inf}, "got inf"),
        ({"period": "64"}, "got '64'"),
        ({"period": True}, "got True"),
        ({"period": 64, "amplitude": math.inf}, "amplitude of a harmonic"),
        ({"period": 64, "phase": 10**400}, "phase of a harmonic"),
    ],
    ids=str,
)
def test_a_harmonic_that_cannot_be_sampled_is_refused(options, message):
    with pytest.raises(SignalError, match=message):
        Harmonic(**options)


# Files.


def test_signals_from_a_file_carry_its_columns_and_what_was_filled(tmp_path):
    (tmp_path / "f.csv").write_text("date,a,b\n2020-01-01,1,5\n2020-01-02,,6\n2020-01-03,3,7\n")
    a, b = read_signals(tmp_path / "f.csv", horizon=9, fill="interpolate")
    assert (a.name, a.values.tolist(), a.filled, a.horizon) == ("a", [1, 2, 3], 1, 9)
    assert (b.name, b.values.tolist(), b.filled) == ("b", [5, 6, 7], 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n1\n", r"f.csv, column 'a': signal 'a' has 1 sample"),
        ("a,b\n1,2\n3,x\n", r"f.csv, column 'b', row 3: 'x'"),
        (f"{'x' * 201}\n1\n2\n", r"f.csv, column 'x+: .*at most 200"),
        ("a\n1\n1e31\n", r"f.csv, column 'a': signal 'a', sample 1: 1e\+31"),
    ],
)
def test_a_bad_series_in_a_file_is_refused_naming_the_file(content, message):
    with pytest.raises(SignalError, match=message):
        read_signals(io.BytesIO(content.encode()), name="f.csv")


def test_a_horizon_below_one_is_refused_when_reading():
    for horizon in (0, -5):
        with pytest.raises(SignalError, match=f"horizon must be a whole number .* got {horizon}"):
            read_signals(io.BytesIO(b"1\n2\n"), name="f.csv", horizon=horizon)
        with pytest.raises(SignalError, match=f"horizon must be a whole number .* got {horizon}"):
            parse_values("1 2", "a", horizon=horizon)


def test_pasted_values_become_a_signal():
    signal = parse_values("1, 2\n\n nan 4", "mine", horizon=5, fill="interpolate")
    assert (signal.name, signal.values.tolist(), signal.filled, signal.horizon) == ("mine", [1, 2, 3, 4], 1, 5)
    with pytest.raises(SignalError, match=r"mine, row 2: 'x' is not a number"):
        parse_values("1 2\nx", "mine")
    with pytest.raises(SignalError, match="0 sample"):
        parse_values("\n", "mine")


# TOML.


def test_toml_signals_are_the_composed_ones():
    tones, noise = toml(
        """
        [[signal]]
        name = "two tones"
        description = "a test"
        harmonics = [{ period = 64 }, { angular_frequency = 0.05, phase = 1.5, amplitude = 0.5 }]
        noise = 0.1
        seed = 4
        n = 100
        horizon = 50
        reduced_of = "noise"

        [[signal]]
        name = "noise"
        noise = 1
        """,
        horizon=30,
    )
    n = np.arange(150)
    clean = np.sin(2 * np.pi * n / 64) + 0.5 * np.sin(0.05 * n + 1.5)
    np.testing.assert_allclose(whole(tones), clean + 0.1 * np.random.default_rng(4).standard_normal(150), atol=1e-12)
    assert (tones.description, tones.reduced_of, tones.horizon) == ("a test", "noise", 50)
    assert [h.period for h in tones.harmonics] == pytest.approx([64, 2 * math.pi / 0.05])
    assert (len(noise.values), noise.horizon) == (512, 30)


def test_toml_can_say_the_reference_experiment(named):
    [full] = toml(
        f"""
        [[signal]]
        name = "full"
        harmonics = [
            {{ angular_frequency = 0.1 }},
            {{ angular_frequency = 0.2, phase = 50 }},
            {{ angular_frequency = 1, phase = {50 + math.pi / 2!r} }},
        ]
        """
    )
    np.testing.assert_allclose(whole(full), whole(named["full"]), atol=1e-11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[signal]\n", r"f.toml is not valid TOML: .*line 1"),
        ("", r"f.toml is empty"),
        ("# nothing\n", r"no \[\[signal\]\]"),
        ("signal = 5\n", r"no \[\[signal\]\]"),
        ("signal = [5]\n", r"signal 1: \[\[signal\]\] must be a table, got 5"),
        ("[[signals]]\nname='a'\n", r"unknown key 'signals'; known are signal"),
        ("[[signal]]\nname='a'\nnoise=1\nhorizn=5\n", r"unknown key 'horizn'; known are name, .*horizon"),
        ("[[signal]]\nnoise=1\n", r"f.toml, signal 1: it has no name"),
        ("[[signal]]\nname='a'\n", r"neither harmonics nor noise"),
        ("[[signal]]\nname=5\nnoise=1\n", r"must be a text, got 5"),
        ("[[signal]]\nname='a'\nharmonics=[{}]\n", r"either period or angular_frequency"),
        ("[[signal]]\nname='a'\nharmonics=[{period=9, angular_frequency=1}]\n", r"either period or angular_frequency"),
        ("[[signal]]\nname='a'\nharmonics=[{perod=9}]\n", r"unknown key 'perod'; known are period"),
        ("[[signal]]\nname='a'\nharmonics={period=9}\n", r"harmonics must be a list"),
        ("[[signal]]\nname='a'\nharmonics=[9]\n", r"a harmonic must be a table, got 9"),
        ("[[signal]]\nname='a'\nharmonics=[{period=1}]\n", r"at least 2 samples, got 1"),
        ("[[signal]]\nname='a'\nharmonics=[{period='9'}]\n", r"got '9'"),
        ("[[signal]]\nname='a'\nharmonics=[{period=nan}]\n", r"got nan"),
        ("[[signal]]\nname='a'\nharmonics=[{angular_frequency=4}]\n", r"angular_frequency .* got 4"),
        ("[[signal]]\nname='a'\nharmonics=[{angular_frequency=0}]\n", r"angular_frequency .* got 0"),
        ("[[signal]]\nname='a'\nharmonics=[{angular_frequency='1'}]\n", r"angular_frequency .* got '1'"),
        ("[[signal]]\nname='a'\nharmonics=[{angular_frequency=1e-40}]\n", r"period of a harmonic must be a finite"),
        ("[[signal]]\nname='a'\nnoise=-1\n", r"noise .* cannot be negative, got -1"),
        ("[[signal]]\nname='a'\nnoise='1'\n", r"noise .* got '1'"),
        ("[[signal]]\nname='a'\nnoise=inf\n", r"noise .* got inf"),
        ("[[signal]]\nname='a'\nnoise=1\nseed=-1\n", r"seed .* got -1"),
        ("[[signal]]\nname='a'\nnoise=1\nseed=1.5\n", r"seed .* got 1.5"),
        ("[[signal]]\nname='a'\nnoise=1\nn=1\n", r"n must be a whole number from 2 to 1000000, got 1"),
        ("[[signal]]\nname='a'\nnoise=1\nhorizon=0\n", r"horizon .* got 0"),
        ("[[signal]]\nname='a'\nnoise=1\nhorizon=true\n", r"horizon .* got True"),
        ("[[signal]]\nname='a'\nnoise=1\nreduced_of='a'\n", r"reduction of itself"),
        ("[[signal]]\nname='a'\nnoise=1\n[[signal]]\nname='a'\nnoise=2\n", r"signal 2: an earlier one is named 'a'"),
        ("[[signal]]\nname='a'\nnoise=1\nseed=0x" + "f" * 5000, r"signal 1"),
        ("a=" + "[" * 5000, r"not valid TOML"),
    ],
    ids=lambda text: text[:60].replace("\n", " "),
)
def test_bad_toml_is_refused_naming_the_signal_the_key_and_the_value(text, message):
    with pytest.raises(SignalError, match=message):
        toml(text)


def test_a_small_toml_file_cannot_ask_for_more_samples_than_memory_holds(monkeypatch):
    monkeypatch.setattr(formulas, "MAX_VALUES", 2500)
    table = "[[signal]]\nname='{}'\nnoise=1\n"
    assert len(toml(table.format(1) + table.format(2))) == 2
    with pytest.raises(SignalError, match="more than 2500 samples in all"):
        toml("".join(map(table.format, range(3))))


# Sets of signals.


def test_signals_that_share_a_name_or_refer_to_a_missing_one_are_refused():
    a, b = Signal("a", [1, 2]), Signal("b", [1, 2], reduced_of="a")
    check_signals([a, b])
    check_signals([b], known=["a"])
    for bad, message in [([a, b, a], "2 signals are named 'a'"), ([b], "'b' is reduced_of 'a'"), ([], "no signals")]:
        with pytest.raises(SignalError, match=message):
            check_signals(bad)


def test_importing_signals_is_light():
    heavy = {"pandas", "pyarrow", "xarray", "torch", "zarr", "scipy"}
    code = f"import sys, vitime_cache.series.sources; print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_the_last_samples_of_a_formula_are_the_formula_from_there_on():
    text = b"[[signal]]\nname = 'a'\nn = 50\nhorizon = 9\nharmonics = [{ period = 7 }, { period = 31, phase = 2.0 }]"
    [whole] = read_signals(io.BytesIO(text), name="f.toml")
    [ending] = read_signals(io.BytesIO(text), name="f.toml", last=20)
    np.testing.assert_array_equal(ending.values, whole.values[-20:])
    continued = sum(each.at(np.arange(29)) for each in ending.harmonics)
    np.testing.assert_allclose(continued, [*ending.values, *ending.future], atol=1e-9)
    assert read_signals(io.BytesIO(text), name="f.toml", last=99)[0].fingerprint == whole.fingerprint


def test_the_last_samples_of_a_file_count_what_was_filled_among_them():
    text = b"s\n1\nnan\nnan\nnan\n5\nnan\n7\n"
    [ending] = read_signals(io.BytesIO(text), name="f.csv", fill="interpolate", last=3)
    assert (ending.values.tolist(), ending.filled) == ([5, 6, 7], 1)
