"""What tasks manage: from a task's action, arguments and result to the things that the probe can verify.

Used inside ansible-playbook by our callback plugin. Arguments hold secrets: each learner looks only at the keys that it
names, and what may be secret (lines, blocks, values) leaves it as an HMAC. Learners are listed in `table.py`.
"""

from orchestrator.modes.stable.learning.table import learn, manages, merged
from orchestrator.modes.stable.learning.things import Task

__all__ = ["Task", "learn", "manages", "merged"]
