"""A head on a signal and on its reduction."""

import numpy as np
import pytest

from vitime_cache.evidence.reduction import compare_curves
from vitime_cache.evidence.tracking import EvidenceError

LAG = np.arange(-40, 41)
SPP = 16.0


def curve(*lags_in_samples: float) -> np.ndarray:
    return sum((np.exp(-0.5 * ((LAG - at / SPP) / 0.7) ** 2) for at in lags_in_samples), np.full(81, 0.2))


def compare(full, reduced, removed=62.8, **options):
    return compare_curves(LAG, curve(*full), curve(*reduced), SPP, removed, **options)


def test_peaks_are_kept_vanished_or_new():
    result = compare((64, 128, 300), (144, 480))
    assert [(c.lag, c.status) for c in result.changes] == [
        (64, "vanished"),
        (128, "kept"),
        (304, "vanished"),
        (480, "new"),
    ]
    assert [c.multiple for c in result.changes] == [1, 2, 0, 0]


def test_two_peaks_are_not_paired_with_the_same_one():
    result = compare((128, 160), (144,))
    assert sorted(c.status for c in result.changes) == ["kept", "vanished"]


def test_the_ratio_compares_prominence_at_one_and_two_periods_and_never_divides_by_noise():
    result = compare((64, 128), (128,))
    assert result.ratios[1] > 10
    assert result.ratios[2] == pytest.approx(1, rel=0.5)
    assert compare((300,), ()).ratios == {1: 1.0, 2: 1.0}
    assert compare((64,), (), removed=None).ratios == {}


def test_a_lost_multiple_is_said_and_so_is_one_that_stays():
    lost = compare((64, 192), ())
    assert "64, 192 samples" in lost.conclusion
    assert "gone" in lost.conclusion
    stayed = compare((64, 192), (64, 192))
    assert "stay" in stayed.conclusion
    assert "gone" not in stayed.conclusion
    assert "does not need it" in " ".join(stayed.supports)
    assert "None at a multiple" in compare((300,), ()).conclusion


def test_without_peaks_there_is_nothing_to_conclude():
    result = compare((), ())
    assert result.changes == ()
    assert "nothing to compare" in result.conclusion


@pytest.mark.parametrize("full", [(), (64, 192), (300,)])
@pytest.mark.parametrize("reduced", [(), (64,), (480,)])
def test_no_comparison_claims_tracking_causes_or_significance(full, reduced):
    result = compare(full, reduced)
    claimed = " ".join((result.conclusion, *result.supports)).lower()
    for word in ("track", "cause", "specialis", "significan", "because", "depends", "proves"):
        assert word not in claimed
    denied = " ".join(result.does_not_support)
    for rung in ("null inputs", "sweep", "knocking"):
        assert rung in denied


def test_a_period_below_the_resolution_and_one_that_shares_multiples_are_named_as_limits():
    unresolved = compare((64,), (), removed=6.28)
    assert any("6.28" in limit and "32 samples" in limit for limit in unresolved.does_not_support)
    assert unresolved.changes[0].multiple == 0
    assert unresolved.ratios == {}
    shared = compare((64,), (), others=(31.4, 200.0)).does_not_support
    assert any("31.4 has a multiple there" in limit for limit in shared)
    assert not any("200" in limit for limit in shared)


def test_curves_on_different_lags_are_an_error():
    with pytest.raises(EvidenceError, match=r"\(81,\), \(4,\)"):
        compare_curves(LAG, curve(64), np.ones(4), SPP, 62.8)
