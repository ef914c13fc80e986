"""How threads that compute together wait for one another.

torch's operations on a CPU end only when the last of their threads does. Under GCC's OpenMP runtime, which torch has on
Linux, those that wait look 300 000 times whether it has before they sleep. Where other programs keep the cores busy,
they so hold the core that the last one needs: an operation of a millisecond takes thirty.
"""

from __future__ import annotations

# Environment variables, read when torch is loaded. To sleep at once would cost a third on idle cores; this is free.
WAITING = {"GOMP_SPINCOUNT": "3000"}
