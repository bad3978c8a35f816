"""A kubeconfig read with care: never the ambient one, no program started that the Site does not allow."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError

_EXEC_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a program gave; `until` in seconds since the epoch, 0 if it does not run out."""

    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one API server as one user.

    `ca`, `certificate` and `key` are PEM; `token` gives the current one, empty for none; `login` is asked once for
    what a program gives, where one is configured. `renew` says what to do where one of them has run out.
    """

    server: str
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    token: Callable[[], str] = lambda: ""
    login: Callable[[], Credential] | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    renew: str = field(default="", repr=False)


def read(path: Path, context: str | None, allowed_exec: Sequence[str]) -> Access:
    """The access that a kubeconfig describes. Raises DriverError, saying what is wrong with it."""
    config = _parsed(path)
    name = context or config.get("current-context")
    if not name:
        names = ", ".join(_names(config, "contexts")) or "none"
        raise DriverError(f"{path}: no current context", hint=f"name a context in the Site; there are: {names}")
    chosen = _named(path, config, "contexts", "context", str(name))
    cluster = _named(path, config, "clusters", "cluster", str(chosen.get("cluster")))
    user = _named(path, config, "users", "user", str(chosen["user"])) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise DriverError(f"{path}: cluster `{chosen.get('cluster')}` names no server", hint="add `server: https://…`")
    return _access(path, cluster, user, allowed_exec)


def _parsed(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise DriverError(
            f"kubeconfig {path}: there is no such file", hint="check `agile.cluster.kubeconfig` of the Site"
        ) from None
    except OSError as error:
        raise DriverError(f"kubeconfig {path}: {error.strerror}", hint="it has to be a readable file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise DriverError(f"kubeconfig {path}{where}: not valid YAML", hint="check the file") from None
    if not isinstance(config, Mapping) or not isinstance(config.get("clusters"), list):
        raise DriverError(f"{path}: not a kubeconfig", hint="it has to have clusters, users and contexts")
    return config


def _names(config: Mapping[str, Any], section: str) -> list[str]:
    found = config.get(section)
    entries = found if isinstance(found, list) else []
    return [str(e["name"]) for e in entries if isinstance(e, Mapping) and "name" in e]


def _named(path: Path, config: Mapping[str, Any], section: str, key: str, name: str) -> Mapping[str, Any]:
    for entry in config.get(section) or []:
        if isinstance(entry, Mapping) and entry.get("name") == name:
            found = entry.get(key)
            return found if isinstance(found, Mapping) else {}
    names = ", ".join(_names(config, section)) or "none"
    raise DriverError(f"{path}: there is no {key} `{name}`", hint=f"there are: {names}")


def _access(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], allowed: Sequence[str]) -> Access:
    if "auth-provider" in user:
        raise DriverError(
            f"{path}: `auth-provider` is not supported", hint="use a token, a client certificate, or an `exec` entry"
        )
    login = _login(path, cluster, user["exec"], allowed) if isinstance(user.get("exec"), Mapping) else None
    basic = (str(user["username"]), str(user["password"])) if user.get("username") and user.get("password") else None
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        ca=_pem(path, cluster, "certificate-authority"),
        certificate=_pem(path, user, "client-certificate"),
        key=_pem(path, user, "client-key"),
        token=_token(path, user),
        login=login,
        basic=basic,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        renew=_renewing(path, user),
    )


def _renewing(path: Path, user: Mapping[str, Any]) -> str:
    if isinstance(user.get("exec"), Mapping):
        return f"log in again: `{user['exec'].get('command')}` gives it"
    if not user.get("token") and user.get("tokenFile"):
        return f"whatever writes {user['tokenFile']} has to renew it"
    return f"put a new one into {path}"


def _pem(path: Path, entry: Mapping[str, Any], name: str) -> bytes | None:
    """Inline data first, then the file that is named, relative to the kubeconfig."""
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=False)
        except binascii.Error:
            raise DriverError(f"{path}: `{name}-data` is not base64", hint="check the kubeconfig") from None
    return _file(path, name, str(entry[name])).encode() if entry.get(name) else None


def _file(path: Path, name: str, file: str) -> str:
    try:
        return (path.parent / Path(file).expanduser()).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text file"
        raise DriverError(f"{path}: `{name}`: {file}: {why}", hint="paths are relative to the kubeconfig") from None


def _token(path: Path, user: Mapping[str, Any]) -> Callable[[], str]:
    if user.get("token"):
        return lambda: str(user["token"])
    if file := user.get("tokenFile"):  # read each time: whoever keeps it there renews it
        return lambda: _file(path, "tokenFile", str(file)).strip()
    return lambda: ""


def _login(
    path: Path, cluster: Mapping[str, Any], program: Mapping[str, Any], allowed: Sequence[str]
) -> Callable[[], Credential]:
    command = str(program.get("command", ""))
    if command not in allowed:
        raise DriverError(
            f"{path}: wants to run `{command}` for credentials, which the Site does not allow",
            hint=f"if you trust it, add `exec: [{command}]` to `agile.cluster` of the Site",
        )
    given = program.get("env") or []
    argv = [command if "/" not in command else str(path.parent / command), *map(str, program.get("args") or [])]
    version = str(program.get("apiVersion") or "client.authentication.k8s.io/v1")
    info: dict[str, Any] = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if program.get("provideClusterInfo"):
        keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        info["spec"]["cluster"] = {key: cluster[key] for key in keys if key in cluster}
    environment = {str(e["name"]): str(e["value"]) for e in given if isinstance(e, Mapping)}
    return lambda: _asked(path, argv, {**environment, "KUBERNETES_EXEC_INFO": json.dumps(info)})


def _asked(path: Path, argv: Sequence[str], environment: Mapping[str, str]) -> Credential:
    what = f"{path}: `{argv[0]}`, which gives the credentials"
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_EXEC_SECONDS,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[-300:]
            raise DriverError(f"{what}, ended with {done.returncode}: {words}", hint="run it by hand to see why")
        status = json.loads(done.stdout)["status"]
        until = status.get("expirationTimestamp")
        return Credential(
            token=str(status.get("token", "")),
            certificate=str(status.get("clientCertificateData", "")).encode(),
            key=str(status.get("clientKeyData", "")).encode(),
            until=datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp() if until else 0.0,
        )
    except FileNotFoundError:
        raise DriverError(f"{what}, is not installed", hint="install it, or use another kubeconfig") from None
    except subprocess.TimeoutExpired:
        raise DriverError(
            f"{what}, did not end within {_EXEC_SECONDS:.0f} s", hint="run it by hand to see why"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DriverError(f"{what}, did not print an ExecCredential", hint="run it by hand to see why") from None
