"""What became of a host in a run of ansible-playbook, which says "successful" too easily."""

from __future__ import annotations

from orchestrator.model.address import Address
from orchestrator.model.outcome import Outcome, Result
from orchestrator.modes.stable.playbooks.advice import advised, lost
from orchestrator.modes.stable.playbooks.runs import Failure, Ran

CONTROLLER = "localhost"  # where plays for `localhost` run; all hosts of the run depend on them


def failed_outcome(address: Address, host: str, ran: Ran, folder: str, label: str) -> Outcome | None:
    """The outcome of a host that is not done; None where its plays have all ended well.

    `folder` is the blueprint's folder, `label` what a person calls it.
    """
    log = ran.log(host)
    blamed = CONTROLLER if CONTROLLER in ran.failed and host not in ran.failed | ran.unreachable else host
    failure = ran.failures.get(blamed, Failure())
    where = named(failure.where, folder, label)
    if ran.refused is not None:
        place = named(ran.refused.where, folder, label)
        return Outcome(address, Result.FAILED, ran.refused.message, ran.refused.task, place, log)
    if host in ran.unreachable:
        return Outcome(address, Result.UNREACHABLE, lost(failure.message), failure.task, where, log)
    if blamed in ran.failed:
        action = f"{failure.action}: " if failure.action else ""
        return Outcome(address, Result.FAILED, advised(f"{action}{failure.message}"), failure.task, where, log)
    if not ran.ended:
        result = Result.INTERRUPTED if ran.interrupted else Result.FAILED
        return Outcome(address, result, advised(named(ran.complaint, folder, label)), failure.task, where, log)
    nowhere = [play for play in ran.unmatched if not play["anywhere"]]
    if nowhere:
        place = named(str(nowhere[0]["path"]), folder, label)
        message = f"play `{nowhere[0]['play']}` matches no host of the inventory; check its `hosts:`"
        return Outcome(address, Result.FAILED, message, where=place, log=log)
    if host in ran.stopped or ran.unstarted or (ran.failed | ran.unreachable and host not in ran.processed):
        others = ", ".join(sorted(ran.failed | ran.unreachable)) or "others"
        return Outcome(address, Result.FAILED, f"its play was broken off because of {others}", where=where, log=log)
    if host not in ran.processed:
        message = "no play of the playbook ran on this host; check their `hosts:` and the tags"
        return Outcome(address, Result.FAILED, message, where=_where(ran, folder, label), log=log)
    return None


def elsewhere(ran: Ran) -> list[str]:
    """What a playbook did, or would have done, to hosts that are not its workload's."""
    notes = [f"play `{play['play']}` is for other hosts and was left out" for play in ran.unmatched if play["anywhere"]]
    return [*notes, "its plays for localhost ran on this computer"] if CONTROLLER in ran.processed else notes


def _where(ran: Ran, folder: str, label: str) -> str:
    return named(str(ran.unmatched[0]["path"]), folder, label) if ran.unmatched else ""


def named(text: str, folder: str, label: str) -> str:
    """Paths of the blueprint as a person calls them."""
    return text.replace(f"{folder.rstrip('/')}/", f"{label.rstrip('/')}/" if label else "") if folder else text
