"""What is remembered: records of units, the journal of runs, leases; a cache of what the targets say, plus history.

store.py       the store: what can be asked of it and written to it
journal.py     runs and their steps, as they are read back
revisions.py   what placements were resolved from, by digest; what is pinned to one
stacks.py      the states of the stacks of Pulumi programs
leases.py      who may change a site, and the tokens that shut a stale writer out
database.py    the file, its folder, its transactions; the one place that translates the database's errors
schema.py      the tables; migrations/ brings an older file up to them
"""

from orchestrator.state.database import state_folder
from orchestrator.state.store import Store, open_store

__all__ = ["Store", "open_store", "state_folder"]
