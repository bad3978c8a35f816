"""The site's lease on its hosts: a file beside the stamps of the first host that answers."""

from __future__ import annotations

import time

from orchestrator.holders import is_dead
from orchestrator.model.observation import Unreachable
from orchestrator.model.outcome import Lease
from orchestrator.modes.stable.place import Place


def take(place: Place, lease: Lease, dead: tuple[str, ...] = ()) -> Lease | None:
    """Put the lease on the first host that answers, or renew it; the other's lease where one is held.

    A lease whose holder was a process of this computer that has ended counts for nothing. Where no host answers there
    is nothing to put it on.
    """
    for host in sorted(place.answered):
        ask = {
            "do": "lease",
            "lease": {
                "site": lease.site,
                "holder": lease.holder,
                "run": lease.run,
                "token": lease.token,
                "since": lease.since,
            },
            "seconds": lease.until - time.time(),
            "dead": list(dead),
        }
        answer = place.ask({host: ask})[host]
        if isinstance(answer, Unreachable):
            continue
        held = answer["held"]
        if not held:
            return None
        if not dead and is_dead(str(held["holder"])):
            return take(place, lease, (str(held["holder"]),))
        until = time.time() + float(held["left"])
        return Lease(lease.site, str(held["holder"]), int(held["run"]), int(held["token"]), float(held["since"]), until)
    return None


def release(place: Place, lease: Lease) -> None:
    """Take it off wherever it is; another's stays."""
    mine = {"holder": lease.holder}
    for host in sorted(place.answered)[:1]:
        place.ask({host: {"do": "lease", "lease": mine, "release": True, "dead": []}})


def unlock(place: Place) -> None:
    """Take it off wherever it is, whoever holds it."""
    for host in sorted(place.answered):
        place.ask({host: {"do": "lease", "release": True, "whoever": True, "lease": {"holder": ""}, "dead": []}})
