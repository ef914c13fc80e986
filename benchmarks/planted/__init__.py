"""Networks of the published architecture with planted mechanisms: the ground truth that `ask` is held to."""

from benchmarks.planted.construction import (
    COLUMNS,
    CONFIG,
    HISTORY,
    HORIZON,
    N_HISTORY,
    ROWS,
    SAMPLES_PER_PATCH,
    Head,
    Plan,
    column_scores,
    network,
    silent,
)  # fmt: skip
from benchmarks.planted.kinds import KINDS, Case, case, question, sharpened
from benchmarks.planted.truth import Judgement, Truth, judge

__all__ = [
    "COLUMNS", "CONFIG", "HISTORY", "HORIZON", "KINDS", "N_HISTORY", "ROWS", "SAMPLES_PER_PATCH", "Case", "Head",
    "Judgement", "Plan", "Truth", "case", "column_scores", "judge", "network", "question", "sharpened", "silent",
]  # fmt: skip
