"""A small network taught on synthetic series: the series, and the run."""
