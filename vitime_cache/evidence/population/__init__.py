"""Many series: for what share of them the forecast uses what lies whole periods back, and which heads carry it."""
