"""What the first page of a fresh server imports: no more than it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# scipy is not among them: where nothing was asked yet, the first page proposes the period to ask about.
LATER = ("torch", "timm", "altair", "vl_convert", "distributed")
FIRST_PAGE = f"""
import sys
from streamlit.testing.v1 import AppTest
from vitime_cache.ui import routing
routing.prepare_charts = lambda: None
import vitime_cache.ui.answers, vitime_cache.ui.question_form
scipy = [name for name in sys.modules if name in ("scipy.signal", "scipy.stats")]
at = AppTest.from_file({str(ROOT / "streamlit_app.py")!r}, default_timeout=60).run()
assert not at.exception and at.title, at
print(scipy, [name for name in {LATER} if name in sys.modules])
"""


def test_the_first_page_of_a_fresh_server_imports_nothing_that_it_does_without(store: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_PAGE], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert store.exists()
    assert done.stdout.strip() == "[] []", "scipy.signal and scipy.stats, before the page proposes; the others at all"


def test_the_process_of_the_model_starts_without_what_a_first_run_does_without(weights: Path) -> None:
    code = (
        "import sys; from vitime_cache.ui.processes.model_process import load; "
        f"load(print, {str(weights)!r}); print([n for n in ('scipy.stats', 'zarr', 'streamlit') if n in sys.modules], "
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[] True"
