"""From documents to units: parameters, expressions, selection and templates. Pure: no I/O, no clock, no environment.

resolving.py     every placement at every site; here.py one of them, and what its expressions see
checking.py      all that can be found wrong without any target
blueprints.py    a blueprint compiled: its fields (fields.py) and the order of its workloads
language.py      CEL: compiling and computing; names.py what it may refer to, tree.py what it does refer to,
                 messages.py what the library says, types.py which type fits where
parameters.py    defaults, values, overrides, secrets
stable.py        machines (machines.py) and configurations (configured_files.py)
rollouts.py      how placements want to be changed
agile.py         objects (objects.py) of what a workload has as its source (sources.py): manifests.py, templates.py
                 (Jinja2), placeholders.py (secrets and unknowns in them); or a Pulumi program: programs.py
live.py          objects as expressions see them; publishing.py machines as Services
pins.py          what is told of what stays as it was
selectors.py     label selectors of the command line
"""

from orchestrator.desired.checking import check
from orchestrator.desired.parameters import secret_refs, settings_refs, with_secrets
from orchestrator.desired.resolving import Desired, resolve
from orchestrator.desired.rollouts import rollouts_of

__all__ = ["Desired", "check", "resolve", "rollouts_of", "secret_refs", "settings_refs", "with_secrets"]
