"""What runs on a host, in one round trip: reads and keeps the stamps there, and tells what is not as it was left.

Its text is sent to the host's Python (3.6 or later, standard library only) on stdin, followed by requests, one a line;
nothing is installed. Everything is kept in one folder per estate, readable by root alone:

    /var/lib/orchestrator/ESTATE/           (~/.local/state/orchestrator/ESTATE/ where we are not root)
        HASH.json         the slot of one address: {"stamp", "undo", "coverage", "key", "things", "taken"}, see
                          things.py; `taken` is when
        HASH.intent.json  an address that is being applied, or was when something died:
                          {"stamp", "undo", "token", "pending"}
        lease.json        who applies to this site

The parts of the probe are sent as one program (program.py).
"""
# pathlib is not used here: it doubles the start of Python on a small host.
# ruff: noqa: PTH103, PTH105, PTH108, PTH111, PTH112, PTH118, PTH120, PTH208

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from typing import Any

from orchestrator.modes.stable.probe.system import Host
from orchestrator.modes.stable.probe.things import differences, fingerprint, lessened, restarted

BEGIN, END = "<<orchestrator:", ":orchestrator>>"
COMMANDS_S = 5.0
IDLE_S = 60  # longer than a connection is kept: whoever is silent for so long is out of reach


def folder_of(request: "dict[str, Any]") -> str:
    """The folder of the request's estate; it need not be there."""
    base = request.get("folder")
    if not base:
        base = "/var/lib/orchestrator" if os.geteuid() == 0 else os.path.expanduser("~/.local/state/orchestrator")
    return os.path.join(base, request["estate"])


def path_of(folder: str, address: str, suffix: str) -> str:
    """Where an address is kept; it may be longer than a file's name."""
    return os.path.join(folder, hashlib.sha256(address.encode()).hexdigest()[:32] + suffix)


def read(path: str) -> Any:
    """A JSON file's content; None where there is none, or none that can be read as such."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError:
        return None  # a damaged file is as good as none: what it told is done again


def write(path: str, data: Any) -> None:
    """Write a JSON file so that it is there whole or not at all."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(data, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def drop(path: str) -> None:
    """Remove a file that may be gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def run_commands(commands: "list[str]", seconds: float) -> "list[str]":
    """Run shell commands side by side; why each did not succeed, as ``command `x`: why``, empty for those that did."""
    import subprocess

    started = []
    for command in commands:
        # By way of the environment: a command's text stays out of the process list.
        environment = dict(os.environ, ORCHESTRATOR_CHECK=command)
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'eval "$ORCHESTRATOR_CHECK"'],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
    deadline = time.monotonic() + seconds
    failed = [outcome(process, deadline, seconds) for process in started]
    return [f"command `{commands[i]}`: {why}" if why else "" for i, why in enumerate(failed)]


def outcome(process: Any, deadline: float, seconds: float) -> str:
    """Why a command did not succeed by its deadline; empty where it did."""
    import subprocess

    try:
        told, _ = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return f"did not end within {seconds:g} s"
    if process.returncode == 0:
        return ""
    lines = told.decode("utf-8", "replace").strip().splitlines()
    return f"exit code {process.returncode}" + (f": {lines[-1][:300]}" if lines else "")


def look(request: "dict[str, Any]") -> "dict[str, Any]":
    """All that is kept here: slots with their differences, intents, and the stamps of other estates.

    `commands` maps an address to readiness commands; they are run where the address is stamped.
    """
    folder = folder_of(request)
    kept = []  # type: list[dict[str, Any]]
    intents = []  # type: list[dict[str, Any]]
    for name in sorted(names_in(folder)):
        data = read(os.path.join(folder, name))
        if isinstance(data, dict) and "stamp" in data:
            (intents if name.endswith(".intent.json") else kept).append(data)
    host = Host([thing for data in kept for thing in data["things"]])
    slots = [slot_seen(data, request.get("commands") or {}, host) for data in kept]
    return {"slots": slots, "intents": intents, "others": other_stamps(folder)}


def names_in(folder: str) -> "list[str]":
    """The names of a folder's JSON files; none where there is no folder."""
    try:
        return [name for name in os.listdir(folder) if name.endswith(".json") and name != "lease.json"]
    except (FileNotFoundError, NotADirectoryError):
        return []


def slot_seen(data: "dict[str, Any]", commands: "dict[str, list[str]]", host: Host) -> "dict[str, Any]":
    """A slot as it is told: without key and things, but with what differs and why it is not ready."""
    found = [d for thing in data["things"] for d in differences(thing, data["key"], host)]
    told = {name: data.get(name) for name in ("stamp", "undo", "coverage")}
    failed = run_commands(commands.get(data["stamp"]["address"], []), COMMANDS_S)
    again = restarted(data["things"], data.get("taken", 0.0), host)
    return dict(told, differences=found, restarted=again, because=next((why for why in failed if why), ""))


def other_stamps(folder: str) -> "list[Any]":
    """The stamps that other estates have left on this host."""
    parent, own = os.path.split(folder)
    try:
        others = [name for name in os.listdir(parent) if name != own]
    except OSError:
        return []
    paths = [os.path.join(parent, other, name) for other in others for name in names_in(os.path.join(parent, other))]
    found = [read(path) for path in paths if not path.endswith(".intent.json")]
    return [data["stamp"] for data in found if isinstance(data, dict) and "stamp" in data]


def begin(request: "dict[str, Any]") -> "dict[str, Any]":
    """Look, and then write down that an address is being applied (or what is left to do after it failed).

    `things` are those that a failed run has managed: the slot that is there takes them as they are now, so that what we
    have changed ourselves is not told as drift; its stamp stays.
    """
    seen = look(request)
    intent, folder = request["intent"], folder_of(request)
    path = path_of(folder, intent["stamp"]["address"], ".json")
    slot = read(path)
    if slot and request.get("things"):
        new = {thing["label"]: thing for thing in request["things"]}
        fingerprint(list(new.values()), slot["key"], request.get("before") or ())
        things = [thing for thing in slot["things"] if thing["label"] not in new]
        write(path, dict(slot, things=things + list(new.values())))
    write(path_of(folder, intent["stamp"]["address"], ".intent.json"), intent)
    return seen


def commit(request: "dict[str, Any]") -> "dict[str, Any]":
    """Stamp an address: keep its slot with fresh fingerprints, end its intent -> what nobody has mended, and coverage.

    `before` is what `begin` has found.
    """
    folder, slot = folder_of(request), request["slot"]
    address, identity = slot["stamp"]["address"], slot["stamp"]["identity"]
    before = read(path_of(folder, address, ".json")) or {}
    key = before.get("key") or request["key"]
    unmended, unsure = fingerprint(slot["things"], key, request.get("before") or ())
    things = [thing for thing in slot["things"] if thing not in unsure]
    slot = dict(slot, key=key, things=things, coverage=lessened(slot["coverage"], unsure), taken=time.time())
    write(path_of(folder, address, ".json"), slot)
    drop(path_of(folder, address, ".intent.json"))
    if identity:
        drop_others(folder, address, identity)
    return {"unmended": unmended, "coverage": slot["coverage"]}


def drop_others(folder: str, address: str, identity: str) -> None:
    """Remove what is kept under other addresses of the same thing: it has moved here."""
    for name in names_in(folder):
        data = read(os.path.join(folder, name))
        stamp = data.get("stamp") if isinstance(data, dict) else None
        if isinstance(stamp, dict) and stamp.get("identity") == identity and stamp.get("address") != address:
            drop(os.path.join(folder, name))


def remove(request: "dict[str, Any]") -> "dict[str, Any]":
    """Forget an address on this host."""
    folder = folder_of(request)
    for suffix in (".json", ".intent.json"):
        drop(path_of(folder, request["address"], suffix))
    return {}


def commands(request: "dict[str, Any]") -> "dict[str, Any]":
    """Run readiness commands -> why each failed."""
    return {"failed": run_commands(request["commands"], request.get("seconds", COMMANDS_S))}


def lease(request: "dict[str, Any]") -> "dict[str, Any]":
    """Take, renew or release the site's lease, by this host's clock -> the other's lease, if it is held."""
    folder = folder_of(request)
    if request.get("release") and not os.path.isdir(folder):
        return {"held": None}
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "lease.json")
    with os.fdopen(os.open(os.path.join(folder, "lease.lock"), os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = read(path)
        mine = request["lease"]
        ours = [mine["holder"], *request["dead"]]
        other = held if isinstance(held, dict) and held.get("holder") not in ours else None
        if request.get("release"):
            if held and (not other or request.get("whoever")):
                drop(path)
            return {"held": None}
        if other and other["until"] > time.time():
            return {"held": dict(other, left=other["until"] - time.time())}
        write(path, dict(mine, until=time.time() + request["seconds"]))
    return {"held": None}


def main(text: str) -> None:
    """Do what a request (JSON text with `do`) asks; print the answer between marks that no login banner bears."""
    os.umask(0o077)
    request = json.loads(text)
    actions = {f.__name__: f for f in (look, begin, commit, remove, commands, lease)}
    try:
        answer: dict[str, Any] = {"answer": actions[request["do"]](request)}
    except OSError as error:
        answer = {"error": f"{error.filename or folder_of(request)}: {error.strerror or error}"}
    sys.stdout.write(BEGIN + json.dumps(answer) + END + "\n")
    sys.stdout.flush()


def serve() -> None:
    """Answer requests, one a line, until they end, or none has come for a while."""
    while True:
        signal.alarm(IDLE_S)
        line = sys.stdin.buffer.readline()
        signal.alarm(0)
        if not line:
            return
        main(line.decode())
