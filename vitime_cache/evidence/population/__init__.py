"""Many series: on what share of them does the forecast use what lies whole periods back, and which heads carry it?"""
