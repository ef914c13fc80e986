from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import small_config
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import SignalError
from vitime_cache.training.batches import Batches
from vitime_cache.training.config import TrainConfig, TrainingError
from vitime_cache.training.own_series import SHORTEST, SPARSEST, OwnSeries, read_own_series
from vitime_cache.training.synthesis import Mixture

NETWORK = small_config(context_columns=40, horizon_columns=56)
CONFIG = TrainConfig.adapting(NETWORK, 8)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples)


def own(*values: np.ndarray, hold_out: int | None = 20, filled: int = 0, share: float = 1.0) -> OwnSeries:
    signals = [Signal(str(number), series, filled=filled) for number, series in enumerate(values)]
    return OwnSeries.of(signals, share=share, hold_out=hold_out)


def batches(series: OwnSeries) -> list[np.ndarray]:
    return [Batches(CONFIG, series)[step].rows.numpy() for step in range(8)]


def test_no_batch_knows_what_is_held_out_or_chosen_by() -> None:
    values = noise(140).cumsum()
    changed = values.copy()
    changed[100:] = 1e6 * noise(40, 1)
    for one, other in zip(batches(own(values)), batches(own(changed)), strict=True):
        assert np.array_equal(one, other)
    changed = values.copy()
    changed[99] += 1
    assert any(not np.array_equal(*pair) for pair in zip(batches(own(values)), batches(own(changed)), strict=True))


@pytest.mark.parametrize("missing", [(99, 101), (97, 104), (90, 100), (99, 100), (80, 118)])
def test_a_value_interpolated_across_the_cut_is_not_taught(missing: tuple[int, int]) -> None:
    """Its line leads to the first value that is held back, and would tell it."""
    first, last = missing
    values = noise(140).cumsum()

    def interpolated(end: float) -> OwnSeries:
        known = values.copy()
        known[100:] += end
        gap = np.arange(first, last)
        known[gap] = np.interp(gap, [first - 1, last], [known[first - 1], known[last]])
        return own(known, filled=len(gap))

    assert len(interpolated(0).splits[0].taught) == first
    for one, other in zip(batches(interpolated(0)), batches(interpolated(50)), strict=True):
        assert np.array_equal(one, other)


def test_windows_lie_within_what_is_taught_and_have_every_length_that_fits() -> None:
    samples, columns = 300, 96
    [[begin, *_, end]] = np.array([own(np.arange(340.0)).windows(np.random.default_rng(0), 4000, columns)]).swapaxes(
        1, 2
    )
    span = end - begin
    assert begin.min() >= 0
    assert end.max() <= samples - 1
    assert begin.min() < 1
    assert end.max() > samples - 2
    assert SHORTEST - 1 <= span.min() < SHORTEST
    assert samples - 15 < span.max() <= samples - 1
    short, middle = (np.mean(span < bound) for bound in (np.sqrt(31 * 299) / 2, np.sqrt(31 * 299)))
    assert middle == pytest.approx(0.5, abs=0.03), "log-uniform"
    assert short == pytest.approx(0.5 - np.log(2) / np.log(299 / 31), abs=0.03)


def test_a_window_is_the_series_interpolated_at_evenly_spaced_places() -> None:
    values = noise(340)
    places = own(np.arange(340.0)).windows(np.random.default_rng(5), 50, 96)
    drawn = own(values).windows(np.random.default_rng(5), 50, 96)
    np.testing.assert_allclose(np.diff(places, 2), 0, atol=1e-9)
    np.testing.assert_allclose(drawn, np.interp(places, np.arange(340), values), atol=1e-9)


def test_a_window_of_a_long_series_skips_few_samples() -> None:
    windows = own(np.arange(100_000.0)).windows(np.random.default_rng(0), 500, 96)
    assert (windows[:, -1] - windows[:, 0]).max() <= SPARSEST * 96
    assert windows.max() > 90_000


def test_each_window_is_of_one_series_and_each_series_gives_some() -> None:
    series = own(np.arange(90.0), 1000 + np.arange(2000.0), 5000 + np.arange(72.0))
    windows = series.windows(np.random.default_rng(0), 300, 96)
    of = np.searchsorted([1000, 5000], windows, side="right")
    assert (of == of[:, :1]).all()
    assert np.bincount(of[:, 0]).min() > 60


def test_a_batch_mixes_own_windows_with_synthetic_series_in_the_share_asked_for() -> None:
    ramp = own(np.arange(400.0), share=0.25)
    repeats = replace(CONFIG.stages[0], mixture=Mixture(repeats=1))
    config = replace(CONFIG, stages=(repeats,), batch_size=400)
    batch = Batches(config, ramp)[0]
    mine = batch.periods.isnan()  # the period of one's own series is not known, of these synthetic ones it is
    assert float(mine.float().mean()) == pytest.approx(0.25, abs=0.07)
    rising = (batch.rows.diff(dim=1) >= 0).all(dim=1)
    assert rising[mine].all()
    assert float(rising[~mine].float().mean()) < 0.1
    assert (Batches(config, own(np.arange(400.0)))[0].rows.diff(dim=1) >= 0).all()


@pytest.mark.parametrize(
    ("values", "hold_out", "told"),
    [
        (noise(20), None, r"series '0' is shorter than a window: it has 20 samples, a window needs 32"),
        (noise(100), 40, r"100 samples; 40 held out and 40 to choose the weights by leave 20 .* \(--holdout\)"),
        (noise(100), 400, "leave 0 to teach from"),
        (noise(100), 0, "at least one sample of each series must be held out, got 0"),
        (np.concatenate((np.ones(60), noise(40))), 20, "series '0' is constant, or interpolated, over the part to"),
        (1e-200 * noise(100), 20, "series '0' is constant, or interpolated, over the part to"),
    ],
)  # fmt: skip
def test_a_series_that_cannot_be_split_is_refused_by_name(values: np.ndarray, hold_out: int, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        own(values, hold_out=hold_out)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_of_none_or_of_more_than_all_is_refused(share: float) -> None:
    with pytest.raises(TrainingError, match=r"above 0 and at most 1, got"):
        own(noise(100), share=share)


def test_nothing_to_teach_from_is_refused() -> None:
    with pytest.raises(TrainingError, match="there are no series"):
        OwnSeries.of([])


def write(path: Path, **columns: np.ndarray) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text(",".join(columns) + "\n" + "\n".join(",".join(f"{v:.6f}" for v in row) for row in rows) + "\n")
    return path


def test_files_are_named_by_their_hash(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.csv", x=noise(80), y=noise(80, i)) for i, name in enumerate("abcde")]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    one = read_own_series(files[:1])
    assert one.told == f"2 series of a.csv (SHA-256 {hashes[0][:12]})"
    assert [len(split.taught) for split in one.splits] == [48, 48]
    joint = hashlib.sha256("".join(hashes[3:]).encode()).hexdigest()[:12]
    many = read_own_series([str(file) for file in files]).told
    assert many.startswith(f"10 series of a.csv (SHA-256 {hashes[0][:12]}), b.csv")
    assert many.endswith(f"and 2 more files (SHA-256 of their hashes {joint})")


def test_a_missing_value_is_refused_unless_it_is_to_be_filled(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", x=noise(80))
    lines = file.read_text().splitlines()
    lines[30] = ""
    file.write_text("x,y\n" + "\n".join(f"{line},1.5" for line in lines[1:]) + "\n")
    with pytest.raises(SignalError, match=r"a\.csv"):
        read_own_series([file])
    file.write_text("x,y\n" + "\n".join(f"{line},{i}" for i, line in enumerate(lines[1:])) + "\n")
    assert read_own_series([file], fill="interpolate").splits[0].filled == 1


def test_a_file_s_name_is_told_as_printable_text_of_bounded_length(tmp_path: Path) -> None:
    file = write(tmp_path / ("a\n" + "b" * 200 + ".csv"), x=noise(80))
    told = read_own_series([file]).told
    assert told.isprintable()
    assert len(told) < 150


def test_what_is_held_out_may_be_a_span_of_time_where_the_spacing_is_known() -> None:
    hourly = Signal("hourly", noise(400), sample_seconds=3600.0)
    weekly = replace(hourly, name="weekly", sample_seconds=604_800.0)
    assert [split.end for split in OwnSeries.of([hourly], hold_out="2 days").splits] == [48]
    assert [split.end for split in OwnSeries.of([weekly], hold_out="3 weeks").splits] == [3]
    assert [split.end for split in OwnSeries.of([hourly, weekly], hold_out="20").splits] == [20, 20]
    for signal, span, told in (
        (Signal("plain", noise(400)), "2 days", "series 'plain': the spacing of the samples is not known"),
        (hourly, "soon", "series 'hourly': 'soon' is not a span"), (weekly, "1 day", "at least one sample"),
        (hourly, "9 days", "216 held out"),
    ):  # fmt: skip
        with pytest.raises(TrainingError, match=told):
            OwnSeries.of([signal], hold_out=span)
