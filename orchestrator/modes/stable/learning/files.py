"""Tasks that manage whole files, folders and links."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from orchestrator.modes.stable.learning.things import Args, Task, Thing, file, true

MOST = 2000  # files of one folder or archive; of more, the task is not verified


def path_of(args: Args, result: Args, task: Task) -> str | None:
    """The path that a task works on; None where it is not an absolute one."""
    for value in (result.get("path"), result.get("dest"), args.get("path"), args.get("dest"), args.get("name")):
        if isinstance(value, str) and value:
            return value.rstrip("/") or "/" if value.startswith("/") else None
    return None


def enforced_by(args: Args) -> list[str]:
    """What a task sets of a file besides its content."""
    return [aspect for aspect in ("mode", "owner", "group") if args.get(aspect) not in (None, "preserve")]


def file_task(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """`file`: a folder, a link, a file that is there, or one that is not; `recurse` also sets what is inside."""
    path = path_of(args, result, task)
    if path is None or true(args.get("recurse")):
        return None
    state = result.get("state") or args.get("state") or "file"
    if state == "absent":
        return [file(path, task, "absent", ["type"], type=["absent"])]
    by_state = {"directory": ["type"], "link": ["type", "target"], "hard": ["type"]}
    return [file(path, task, "meta", enforced_by(args) + by_state.get(str(state), []))]


def whole(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A task that writes one whole file (`copy`, `template`, `get_url`, …); without force: only if it was not there."""
    path = path_of({**args, "name": None}, result, task)
    if path is None:
        return None
    if args.get("force") is not None and not true(args["force"]):
        return [file(path, task, "meta", [*enforced_by(args), "type"])]
    return [file(path, task, "whole", [*enforced_by(args), "type", "content", "size"])]


def named_file(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Keys, certificates and the like, which are made once: `filename` in their result."""
    path = result.get("filename") or args.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        return None
    if str(args.get("state")) == "absent":
        return [file(path, task, "absent", ["type"], type=["absent"])]
    return [file(path, task, "whole", [*enforced_by(args), "type"])]


def copy(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """`copy`: one file, or a folder of this computer."""
    one = "checksum" in result or "state" in result or ("content" in args and args["content"] is not None)
    src = args.get("src")
    if one or not isinstance(src, str) or true(args.get("remote_src")):
        return whole(args, result, task) if one else None
    folder = task.local(src)
    dest = args.get("dest")
    if folder is None or not isinstance(dest, str) or not dest.startswith("/"):
        return None
    if not folder.is_dir():
        return whole(args, result, task)
    base = dest.rstrip("/") + ("" if src.endswith("/") else f"/{folder.name}")
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return _whole_files(base, names, args, task)


def unarchive(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """`unarchive`: the files of an archive that can be listed here, or of one that told its list."""
    dest = args.get("dest")
    if not isinstance(dest, str) or not dest.startswith("/") or args.get("extra_opts"):
        return None
    if isinstance(result.get("files"), list):
        names = [str(name) for name in result["files"] if not str(name).endswith("/")]
    else:
        src = args.get("src")
        here = isinstance(src, str) and "://" not in src and not true(args.get("remote_src"))
        archive = task.local(str(src)) if here else None
        if archive is None or args.get("include") or args.get("exclude"):
            return None
        names = _names_in(archive)
    return _whole_files(dest.rstrip("/"), names, args, task) if names else None


def _names_in(archive: Path) -> list[str]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            return [name for name in packed.namelist() if not name.endswith("/")]
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            return [member.name for member in tar.getmembers() if not member.isdir()]
    return []


def _whole_files(base: str, names: list[str], args: Args, task: Task) -> list[Thing] | None:
    if len(names) > MOST:
        return None
    enforced = [*enforced_by(args), "type", "content", "size"]
    return [file(f"{base}/{name.removeprefix('./')}", task, "whole", enforced) for name in names]


def guarded(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A command with `creates` or `removes`: what Ansible itself goes by."""
    creates, removes = args.get("creates"), args.get("removes")
    path = creates or removes
    if not isinstance(path, str) or not path.startswith("/") or any(sign in path for sign in "*?["):
        return None
    if creates:
        return [file(path, task, "exists", ["type"], type=["there"])]
    return [file(path, task, "absent", ["type"], type=["absent"])]


def link_of(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """`alternatives`: the link of that name."""
    return [file(f"/etc/alternatives/{args.get('name')}", task, "meta", ["type", "target"])]


def yum_repository(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """The file that holds the repository."""
    path = f"{args.get('reposdir') or '/etc/yum.repos.d'}/{args.get('file') or args.get('name')}.repo"
    if str(args.get("state")) == "absent":
        return [file(path, task, "absent", ["type"], type=["absent"])]
    return [file(path, task, "whole", ["type", "content"])]
