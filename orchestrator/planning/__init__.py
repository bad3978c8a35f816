"""From what should be and what was seen to what is to be done: pure, no I/O, no clock.

situation.py   what a plan is made from, beside what should be
diff.py        one unit: a table of guards, the first that matches is the change
wording.py     what differs, in words
spreading.py   what a held or conflicting unit means for the others
removal.py     what is ours and no longer declared
waves.py       the order; batches.py in how many parts a change is rolled out
making.py      all of that put together: `plan`, and `settle` until expressions and plan agree
undoing.py     plans that take away: `destroy`, `forgetting`
comparing.py   two plans, or a part of one: `unplanned`, `drifted`, `gone`
saved.py       plans in files, refused when stale
"""

from orchestrator.planning.comparing import drifted, gone, unplanned
from orchestrator.planning.making import plan, settle
from orchestrator.planning.situation import Situation
from orchestrator.planning.undoing import destroy, forgetting

__all__ = ["Situation", "destroy", "drifted", "forgetting", "gone", "plan", "settle", "unplanned"]
