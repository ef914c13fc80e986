"""Run parts of the benchmark.

    python -m benchmarks.evidence                                      # the known answers, one of each kind
    python -m benchmarks.evidence --only planted --questions 4         # right answers over all kinds, with bounds
    python -m benchmarks.evidence --only false --questions 100 --last mechanism
    python -m benchmarks.evidence --only found --questions 20 --last mechanism
    python -m benchmarks.evidence --only real                          # the README's opening table
    python -m benchmarks.evidence --only shipped                       # what stays open, seconds, agreement
    python -m benchmarks.evidence --only families                      # other weights

"known" and "planted" ask networks with planted mechanisms (`benchmarks.planted`), whose right answers are written down
there. "false": series without a period and wrong periods (shipped weights), and random networks with sharpened scores
on periodic series; a claim is false if it is made of any of them. "found": planted networks and the shipped weights on
clear periods in noise. Bounds are one-sided Clopper-Pearson 95 %. Seeds other than `--seed` 0 were never looked at when
thresholds were chosen.
"""

from __future__ import annotations

import argparse

from benchmarks import planted
from benchmarks.evidence import claims, known, shipped
from vitime_cache.evidence.levels.table import STAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("known", "planted", "false", "found", "real", "shipped", "families")
    parser.add_argument("--only", choices=parts, default="known")
    parser.add_argument("--questions", type=int, default=10, help="of each kind (10)")
    parser.add_argument("--minutes", type=float, default=10, help="after which no further question is waited for (10)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, help="of the first question (1000; real, shipped, families: 0)")
    parser.add_argument("--last", choices=STAGES, default="set", help="level up to which is asked (set)")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="of networks or questions (all)")
    a = parser.parse_args()
    all_kinds = {"false": claims.FALSE, "found": claims.FOUND}.get(a.only, tuple(planted.KINDS))
    kinds = a.kinds or all_kinds
    if unknown := set(kinds) - set(all_kinds):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(all_kinds)}")
    first, asked = (default if a.seed is None else a.seed for default in (1000, 0))
    bounded = (first, a.questions, a.minutes, a.workers, a.last)
    run = {
        "known": lambda: known.known(first, a.minutes, a.workers, a.last, kinds),
        "planted": lambda: known.many(*bounded, kinds),
        "false": lambda: claims.false_claims(*bounded, kinds),
        "found": lambda: claims.found_claims(*bounded, kinds),
        "real": lambda: shipped.real(asked),
        "shipped": lambda: shipped.shipped(asked),
        "families": lambda: shipped.families(asked),
    }
    run[a.only]()


if __name__ == "__main__":
    main()
