"""How OpenSSH itself would reach a host, read from `ssh -G`; so no configuration is ever guessed at.

Everything counts that counts for Ansible's ssh plugin: its own options, ssh_args, ssh_common_args, ssh_extra_args,
`~/.ssh/config` and the system's. Whatever differs from OpenSSH's defaults and is not known here makes the settings
`None`: such a host is left to Ansible's plugin.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ANY = "any.invalid"  # stands for every host where nothing in the configuration is about single hosts
READ_S = 5.0
USER_CONFIG, SYSTEM_CONFIG, SYSTEM_PARTS = Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"), "/etc/ssh/ssh_config.d"

HONOURED = """
    host user hostname port identityfile identitiesonly identityagent userknownhostsfile globalknownhostsfile
    stricthostkeychecking hostkeyalias proxyjump proxycommand
""".split()  # noqa: SIM905 - to be read
# They change nothing for one command without a terminal, or only how a connection is shared, told about or kept alive.
HARMLESS = """
    batchmode checkhostip compression compressionlevel connectionattempts connecttimeout controlmaster controlpath
    controlpersist addkeystoagent escapechar forwardagent forwardx11 forwardx11timeout forwardx11trusted
    gssapiauthentication gssapidelegatecredentials gssapikeyexchange hashknownhosts ipqos kbdinteractiveauthentication
    loglevel logverbose numberofpasswordprompts passwordauthentication preferredauthentications rekeylimit requesttty
    sendenv serveralivecountmax serveraliveinterval syslogfacility tcpkeepalive updatehostkeys visualhostkey
    fingerprinthash xauthlocation
""".split()  # noqa: SIM905 - to be read


@dataclass(frozen=True, slots=True)
class Settings:
    """One host's: `known_hosts` is None where host keys are not checked, `jump` the bastion before it.

    `agent` is the agent's socket, None for no agent.
    """

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[str, ...] | None
    alias: str
    agent: str | None
    jump: Settings | None
    command: str


_asked: dict[tuple[str, ...], dict[str, list[str]] | None] = {}
_asking = threading.Lock()


def settings_for(program: str, args: Sequence[str], host: str) -> Settings | None:
    """The settings with which `program ARGS HOST` would connect; None where they are not fully understood."""
    found = _effective(program, args, host)
    plain = _effective(program, ("-F", "none"), ANY)
    if found is None or plain is None or not _understood(found, plain):
        return None
    one = {name: values[0] for name, values in found.items()}
    jump = _jump(program, args, one["proxyjump"]) if one.get("proxyjump", "none") != "none" else None
    if jump is None and one.get("proxyjump", "none") != "none":
        return None
    tokens = {"h": one["hostname"], "n": host, "p": one["port"], "r": one["user"], "d": str(Path.home()), "%": "%"}
    try:
        keys = tuple(_expanded(path, tokens) for path in found.get("identityfile", ()))
        return Settings(
            host=one["hostname"],
            port=int(one["port"]),
            user=one["user"],
            keys=tuple(path for path in keys if Path(path).is_file()),
            known_hosts=_known_hosts(one, tokens),
            alias=one.get("hostkeyalias", ""),
            agent=_agent(one),
            jump=jump,
            command=_proxy(one, tokens),
        )
    except KeyError:  # a token that is not known here
        return None


def _understood(found: Mapping[str, list[str]], plain: Mapping[str, list[str]]) -> bool:
    known = {*HONOURED, *HARMLESS}
    return all(name in known or values == plain.get(name) for name, values in found.items())


def _known_hosts(one: Mapping[str, str], tokens: Mapping[str, str]) -> tuple[str, ...] | None:
    if one["stricthostkeychecking"] in ("no", "off", "false"):
        return None
    names = f"{one['userknownhostsfile']} {one['globalknownhostsfile']}".split()
    return tuple(path for name in names if Path(path := _expanded(name, tokens)).is_file())


def _agent(one: Mapping[str, str]) -> str | None:
    """The agent's socket; none where only the named keys may be used: such an agent's keys are the plugin's matter."""
    named = one.get("identityagent", "SSH_AUTH_SOCK")
    if named == "none" or one["identitiesonly"] == "yes":
        return None
    return os.environ.get("SSH_AUTH_SOCK") if named == "SSH_AUTH_SOCK" else str(Path(named).expanduser())


def _proxy(one: Mapping[str, str], tokens: Mapping[str, str]) -> str:
    command = one.get("proxycommand", "none")
    return "" if command == "none" else _expanded(command, tokens, home=False)


def _expanded(text: str, tokens: Mapping[str, str], *, home: bool = True) -> str:
    full = re.sub(r"%(.)", lambda match: tokens[match[1]], text)
    return str(Path(full).expanduser()) if home else full


def _jump(program: str, args: Sequence[str], text: str) -> Settings | None:
    """The bastion of a `ProxyJump`; None where it is not understood."""
    found = re.fullmatch(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:/,]+)(?::(?P<port>\d+))?/?", text)
    if found is None:  # several, one behind the other
        return None
    # As OpenSSH does it: a bastion is told of the configuration file, and of nothing else that its host is told.
    config = [part for at, part in enumerate(args) if part == "-F" or (at and args[at - 1] == "-F")]
    user = ["-o", f"User={found['user']}"] if found["user"] else []
    port = ["-o", f"Port={found['port']}"] if found["port"] else []
    return settings_for(program, [*config, *user, *port], found["host"].strip("[]"))


def _effective(program: str, args: Sequence[str], host: str) -> dict[str, list[str]] | None:
    """What `ssh -G` prints: option -> its values; asked once for all hosts where nothing is about single hosts."""
    shared = _about_all(args)
    key = (program, *args, ANY if shared else host)
    with _asking:
        if key not in _asked:
            _asked[key] = _read(program, args, key[-1])
        found = _asked[key]
    return {**found, "host": [host], "hostname": [host]} if found is not None and shared else found


def _read(program: str, args: Sequence[str], host: str) -> dict[str, list[str]] | None:
    try:
        done = subprocess.run(
            [program, "-G", *args, host], capture_output=True, text=True, timeout=READ_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name.lower(), []).append(value)
    return found


def _about_all(args: Sequence[str]) -> bool:
    """Whether all hosts have the same settings but for their name: nothing is said of single ones."""
    if any(part.startswith("-F") for part in args):
        return args == ("-F", "none")
    if any("hostname" in part.lower() for part in args):
        return False
    parts = sorted(Path(SYSTEM_PARTS).glob("*.conf"))
    return all(_is_about_all(path) for path in (USER_CONFIG.expanduser(), SYSTEM_CONFIG, *parts))


def _is_about_all(path: Path) -> bool:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False
    for line in lines:
        word, _, rest = re.sub(r"[\s=]+", " ", line.strip()).partition(" ")
        include = word.lower() == "include" and rest.strip() != f"{SYSTEM_PARTS}/*.conf"
        if include or word.lower() in ("match", "hostname") or (word.lower() == "host" and rest.strip() != "*"):
            return False
    return True


def split(text: str | None) -> list[str]:
    """Arguments as Ansible splits them."""
    return shlex.split(text or "")
