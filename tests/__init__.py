import os
import shutil
import tempfile
from pathlib import Path

# Before anything imports torch. The networks of the tests are small: on two threads they take several times as much of
# two processors, which `-n auto` keeps busy, as on one; and so does every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything asks for a temporary folder. The tests make and remove some hundred thousand small files, for which a
# disk takes ten times as long as memory does.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Before anything imports triton: without a CUDA device its interpreter runs the kernel.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
