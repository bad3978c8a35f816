"""Roles and collections that a blueprint's requirements name: installed by ansible-galaxy, once for each content.

They come from wherever `requirements.yml` says: Galaxy or another server of ansible.cfg, git, an archive, a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
import yaml
from filelock import FileLock

from orchestrator.errors import DriverError
from orchestrator.modes.stable.environment import environment_for

FILES = tuple(f"{folder}requirements.{end}" for folder in ("", "roles/", "collections/") for end in ("yml", "yaml"))
WITHIN_S = 600.0
DONE = ".done"
# What ansible-galaxy says -> what helps.
ADVICE = {
    "HTTP Code: 40[13]": "its server wants another token: `token` in `[galaxy_server.NAME]` of ansible.cfg, or in the "
    "environment as ANSIBLE_GALAXY_SERVER_NAME_TOKEN",
    "urlopen error|timed out": "is its server there? ansible.cfg names it, under `[galaxy_server.NAME]`",
    "Could not satisfy the following": "name a version in requirements.yml that its server has",
}
FIXED = re.compile(r"v?\d+([.\-]\w+)*|[0-9a-f]{7,40}")  # a version that is a tag or a commit, and no branch


@dataclass(frozen=True, slots=True)
class Needed:
    """Folders in which Ansible finds them."""

    roles: tuple[Path, ...] = ()
    collections: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one file asks for: its folder, which paths in it are relative to, `role` or `collection`, and which."""

    folder: Path
    kind: str
    wanted: list[Any]


def installed(root: Path, folder: Path, scrub: Callable[[str], str], playbook: str = "") -> Needed:
    """What the requirements of a blueprint's folder, and those beside its playbook, name, installed where it was not.

    `root` is the estate's. Raises DriverError where a file is not one, or something cannot be had.
    """
    places = dict.fromkeys((folder, (folder / playbook).parent if playbook else folder))
    asked = [one for place in places for name in FILES if (place / name).is_file() for one in _asked(place, name)]
    if not asked:
        return Needed()
    cache = _cache() / _content(asked)
    cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(f"{cache}.lock"):
        if not (cache / DONE).exists():
            shutil.rmtree(cache, ignore_errors=True)
            _install(root, asked, cache, scrub)
    return Needed((cache / "roles",), (cache / "collections",))


def _asked(folder: Path, name: str) -> Iterator[Asked]:
    """What one file asks for; a list alone is the old form, of roles."""
    path = folder / name
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DriverError(f"{path}: {' '.join(str(error).split())}", hint="mend it, and apply again") from None
    old = "collection" if path.parent == folder / "collections" else "role"
    sections = found if isinstance(found, dict) else {f"{old}s": found}
    for kind in ("role", "collection"):
        wanted = sections.get(f"{kind}s")
        if wanted is not None and not isinstance(wanted, list):
            raise DriverError(f"{path}: `{kind}s` must be a list", hint="as ansible-galaxy reads it")
        if wanted:
            yield Asked(folder, kind, wanted)


def _content(asked: list[Asked]) -> str:
    """What stands for the content: what is asked for, and what is in the folders and archives of this computer."""
    listed = [(each.kind, each.wanted) for each in asked]
    digest = hashlib.sha256(json.dumps(listed, sort_keys=True, default=str).encode())
    for each in asked:
        for one in each.wanted:
            for place in filter(None, map(_local, one.values() if isinstance(one, dict) else [one])):
                path = (each.folder / place).resolve()
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if file.is_file():
                        digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
            if isinstance(one, dict):
                digest.update(_stands(each.folder, one).encode())
    return digest.hexdigest()[:32]


def _local(text: Any) -> str:
    """The path that a source is; empty where it lies elsewhere."""
    if not isinstance(text, str):
        return ""
    plain = text.removeprefix("git+")
    if plain.startswith("file:"):
        return urlsplit(plain).path
    return plain if plain.startswith(("/", "./", "../")) else ""


def _stands(folder: Path, one: dict[str, Any]) -> str:
    """Where a branch of a git repository, or one that is named without a version, stands now; empty for all others.

    Where that cannot be asked, it is where it stood when it was asked last: what is installed goes on without network.
    """
    source, version = str(one.get("src") or one.get("name") or ""), str(one.get("version") or "HEAD")
    is_git = "git" in (one.get("scm"), one.get("type")) or source.startswith("git")
    if not is_git or FIXED.fullmatch(version):
        return ""
    what = "HEAD" if version == "HEAD" else f"refs/heads/{version}"
    command = ["git", "ls-remote", source.removeprefix("git+"), what]
    last = _cache() / "stood" / hashlib.sha256(f"{source} {version}".encode()).hexdigest()[:32]
    silent = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, cwd=folder, env=silent, capture_output=True, text=True, timeout=20, check=True)
        found = done.stdout
        last.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        last.write_text(found)
        return found
    return last.read_text() if last.exists() else ""


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("orchestrator")) / "ansible"


def _install(root: Path, asked: list[Asked], cache: Path, scrub: Callable[[str], str]) -> None:
    part = Path(tempfile.mkdtemp(prefix="part-", dir=cache.parent))
    environment = environment_for(root, scrub) | {"GIT_TERMINAL_PROMPT": "0", "ANSIBLE_LOCAL_TEMP": str(part / "tmp")}
    program = str(Path(sys.executable).with_name("ansible-galaxy"))
    try:
        for number, each in enumerate(asked):
            kinds = f"{each.kind}s"
            (part / kinds).mkdir(exist_ok=True)
            wanted = [
                one for one in each.wanted if not (each.kind == "role" and _copied(each.folder, one, part / kinds))
            ]
            if not wanted:
                continue
            listed = part / f"requirements-{number}.yml"
            listed.write_text(json.dumps({kinds: wanted}))
            command = [program, each.kind, "install", "-r", str(listed), "-p", str(part / kinds)]
            done = subprocess.run(
                command, cwd=each.folder, env=environment, capture_output=True, text=True, timeout=WITHIN_S
            )
            if done.returncode or "was NOT installed successfully" in done.stderr + done.stdout:
                why = _why(scrub(done.stderr or done.stdout))
                raise DriverError(f"ansible-galaxy cannot install the {kinds}: {why}", hint=_advice(why))
        (part / DONE).touch()
        part.replace(cache)
    except subprocess.TimeoutExpired:
        raise DriverError(f"ansible-galaxy took longer than {WITHIN_S:g} s", hint="is its server there?") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copied(folder: Path, one: Any, roles: Path) -> bool:
    """Whether a role is a plain folder of this computer, copied: ansible-galaxy takes archives and git only."""
    source = one.get("src") or one.get("name") if isinstance(one, dict) else one
    place = _local(source)
    if not place or str(source).startswith(("git+", "file:")) or (isinstance(one, dict) and one.get("scm")):
        return False
    path = (folder / place).resolve()
    if not path.is_dir():
        return False
    name = str(one.get("name") or "") if isinstance(one, dict) else ""
    target = roles / (name if name and not _local(name) else path.name)
    shutil.copytree(path, target, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True)
    return True


def _why(text: str) -> str:
    """The last lines that matter; where we install to is no matter of Ansible's settings."""
    aside = ("[DEPRECATION", "[WARNING]: The specified collections path")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(aside)]
    return "\n".join(lines[-6:]) or "it does not say why"


def _advice(why: str) -> str:
    """What helps, where that is known."""
    return next((advice for told, advice in ADVICE.items() if re.search(told, why)), "")
