import os

# Before anything imports torch. The networks of the tests are small: on two threads they take several times as much of
# two processors, which `-n auto` keeps busy, as on one; and so does every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
