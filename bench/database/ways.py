"""Ways to and back that a prover is measured with: it must catch every bad one, and refuse no good one.

A way is walked on START. SMOKE is what the old version says, `Way.new_smoke` what the new one does; neither looks at a
clock or draws lots, so that two runs write the same rows. Comments and the order of columns are no difference, and
neither is where a sequence stands, as long as it gives out no number twice.
"""

from pathlib import Path

from bench.database.bad_ways import BAD
from bench.database.good_ways import GOOD
from bench.database.way import Way

__all__ = ["BAD", "GOOD", "SMOKE", "START", "WAYS", "Way"]

_SQL = Path(__file__).parent / "ways"

START = (_SQL / "start.sql").read_text(encoding="utf-8")
SMOKE = (_SQL / "smoke.sql").read_text(encoding="utf-8")
WAYS: tuple[Way, ...] = (*BAD, *GOOD)
