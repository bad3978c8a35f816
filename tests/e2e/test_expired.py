"""Tokens and client certificates that have really run out, against a real API server: that cluster alone is held."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.agile.servers import DAY, Authority
from tests.e2e.conftest import Estate
from tests.tokens import signed

pytestmark = pytest.mark.lab

DOCUMENTS = {
    "placement.yaml": {
        "kind": "Placement",
        "metadata": {"name": "shop"},
        "spec": {"blueprint": "./blueprints/shop", "sites": {"matchLabels": {"env": "dev"}}},
    },
    "blueprints/shop/blueprint.yaml": {
        "kind": "Blueprint",
        "metadata": {"name": "shop", "version": "1.0.0"},
        "spec": {
            "agile": {
                "slow": {"namespace": "${site.name}", "manifests": ["agile/slow.yaml"]},
                "late": {"namespace": "${site.name}", "manifests": ["agile/late.yaml"], "after": ["agile.slow"]},
            }
        },
    },
}
# Bound to a volume that nobody has made yet: it is waited for.
STORAGE = {"accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand"}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "disk"},
    "spec": {**STORAGE, "resources": {"requests": {"storage": "1Gi"}}},
}
SLOW = "blueprints/shop/agile/slow.yaml"
LATE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}


class Account:
    """A service account that may do everything; its tokens, signed with the lab's own key."""

    def __init__(self, estate: Estate) -> None:
        name = f"expiring-{uuid.uuid4().hex[:8]}"
        estate.kubectl("create", "serviceaccount", name)
        rights = ("--clusterrole=cluster-admin", f"--serviceaccount=default:{name}")
        estate.kubectl("create", "clusterrolebinding", name, *rights)
        self.name, self.uid = name, estate.kubectl("get", "serviceaccount", name, "-o", "jsonpath={.metadata.uid}")
        pki = Path(estate.environment["ORCHESTRATOR_LAB_HOME"]) / "cluster" / "pki"
        self.key: Any = load_pem_private_key((pki / "service-account.key").read_bytes(), None)
        head = estate.kubectl("create", "token", name).split(".")[0]
        self.kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]

    def token(self, seconds: int) -> str:
        """One that is good for so long from now on, or has been until so long ago."""
        issuer, now = "https://kubernetes.default.svc", int(time.time())
        account = {"namespace": "default", "serviceaccount": {"name": self.name, "uid": self.uid}}
        claims = {
            "iss": issuer,
            "aud": [issuer],
            "sub": f"system:serviceaccount:default:{self.name}",
            "exp": now + seconds,
            "iat": now - 7200,
            "nbf": now - 7200,
            "kubernetes.io": account,
        }
        return signed(self.key, {"kid": self.kid}, claims)


def kubeconfig(estate: Estate, user: dict[str, Any], server: str = "") -> None:
    """The lab's kubeconfig with another user."""
    config = yaml.safe_load(Path(estate.environment["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = user
    config["clusters"][0]["cluster"] |= {"server": server} if server else {}
    (estate.root / "other.kubeconfig").write_text(yaml.safe_dump(config))


@dataclass(frozen=True)
class Two:
    """An estate with two sites without machines on the lab's cluster: one as ever, the other with a kubeconfig."""

    estate: Estate
    fine: str
    other: str

    def held(self) -> str:
        """Why the other site is held; nothing else is."""
        changes = self.estate("plan", "-o", "json").ended(0).data["changes"]
        assert {change["action"] for change in changes if change["site"] == self.other} == {"hold"}
        (why,) = {change["reason"] for change in changes if change["action"] == "hold"}
        return re.sub(r"^held: unreachable \((?:Kubernetes API \S+: )?(.*)\)$", r"\1", str(why))


@pytest.fixture
def two(lab_environment: dict[str, str], tmp_path: Path) -> Iterator[Two]:
    root, names = tmp_path / "estate", [f"{name}-{uuid.uuid4().hex[:6]}" for name in ("fine", "other")]
    sites = {
        f"{name}.yaml": {
            "kind": "Site",
            "metadata": {"name": name, "labels": {"env": "dev"}},
            "spec": {"agile": {"cluster": cluster}},
        }
        for name, cluster in zip(names, ({"lab": True}, {"kubeconfig": "./other.kubeconfig"}), strict=True)
    }
    estate = {"orchestrator.yaml": {"kind": "Estate", "metadata": {"name": "two", "id": str(uuid.uuid4())}}}
    for file, document in {**estate, **DOCUMENTS, **sites}.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(yaml.safe_dump({"apiVersion": "orchestrator/v1alpha1", **document}))
    (root / SLOW).parent.mkdir()
    (root / SLOW).write_text(yaml.safe_dump(LATE | {"metadata": {"name": "slow"}}))
    (root / SLOW).with_name("late.yaml").write_text(yaml.safe_dump(LATE))
    it = Estate(root, dict(lab_environment))
    yield Two(it, *names)
    it.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names)


def test_a_token_that_has_expired_holds_its_cluster_alone_and_is_said_without_being_shown(two: Two) -> None:
    account, estate = Account(two.estate), two.estate
    tokens = [account.token(-7200), account.token(3600)[:-8] + "AAAAAAAA"]
    kubeconfig(estate, {"token": tokens[0]})
    ran = estate.apply(expect=3)
    assert ran.out.count("has expired") == 1, ran
    assert estate.kubectl("--namespace", two.fine, "get", "configmap", "late", "-o", "name")
    expired = r"the token has expired \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\); "
    assert re.fullmatch(expired + r"put a new one into \S+/other\.kubeconfig \(401 Unauthorized\)", two.held())
    (estate.root / "token").write_text(tokens[0])
    kubeconfig(estate, {"tokenFile": "token"})
    assert re.match(expired + "whatever writes token has to renew it", two.held())
    program = estate.root / "login"
    answer = '{"status": {"token": "\'$(cat token)\'"}}'
    program.write_text(f"#!/bin/sh\ncd {estate.root} && echo '{answer}' && echo asked >> asked\n")
    program.chmod(0o755)
    kubeconfig(estate, {"exec": {"command": str(program), "apiVersion": "client.authentication.k8s.io/v1"}})
    assert f"wants to run `{program}` for credentials, which the Site does not allow" in two.held()
    assert not (estate.root / "asked").exists()
    estate.write(
        f"{two.other}.yaml",
        "kubeconfig: ./other.kubeconfig",
        f"kubeconfig: ./other.kubeconfig\n      exec: [{program}]",
    )
    assert re.match(f"{expired}log in again: `{program}` gives it", two.held())
    (estate.root / "token").write_text(account.token(3600))
    assert set(estate.plan("--site", f"name={two.other}").values()) == {"create"}
    kubeconfig(estate, {"token": tokens[1]})
    assert two.held() == "our credentials are refused (401 Unauthorized)"
    printed = "".join(estate.printed)
    assert not [part for token in tokens for part in token.split(".")[1:] if part in printed]


def test_an_apply_whose_token_expires_fails_cleanly_and_the_next_one_finishes(two: Two) -> None:
    account, estate = Account(two.estate), two.estate
    (estate.root / SLOW).write_text(yaml.safe_dump(CLAIM))
    (estate.root / "token").write_text(account.token(3600))
    kubeconfig(estate, {"tokenFile": "token"})
    process = estate.start("apply", "--yes", "-o", "json", "--site", f"name={two.other}")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == "progress" and "PersistentVolumeClaim" in event["address"]:
            break
    (estate.root / "token").write_text(account.token(-7200))
    events = [json.loads(line) for line in process.stdout]
    assert process.wait(60) == 3, events
    ended = {e["address"].rpartition("/")[2]: e for e in events if e["event"] == "outcome"}
    assert ended["disk"]["result"] == "unreachable", ended
    assert "the token has expired" in ended["disk"]["message"]
    assert ended["late"]["result"] == "held"
    (estate.root / "token").write_text(account.token(3600))
    made = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp"}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": two.other}, "spec": STORAGE | made}
    (estate.root / "volume.json").write_text(json.dumps(volume))
    estate.kubectl("create", "-f", str(estate.root / "volume.json"))
    try:
        estate.apply("--site", f"name={two.other}")
        assert estate.kubectl("--namespace", two.other, "get", "configmap", "late", "-o", "name")
        assert estate.plan("--site", f"name={two.other}") == {}
    finally:
        estate.kubectl("delete", "--wait=false", "persistentvolume", two.other)


@contextmanager
def api_server(estate: Estate, folder: Path, clients: Path) -> Iterator[str]:
    """A second API server of the lab's cluster, which knows the clients of an authority; its address."""
    home = Path(estate.environment["ORCHESTRATOR_LAB_HOME"]) / "cluster"
    pid = json.loads((home / "members.json").read_text())["members"]["kube-apiserver"]["pid"]
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    argv = [one for one in argv if not one.startswith(("--secure-port", "--cert-dir"))]
    argv += [f"--secure-port={port}", f"--cert-dir={folder}", f"--client-ca-file={clients}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_client_certificate_that_has_expired_holds_its_cluster_alone(two: Two, tmp_path: Path) -> None:
    authority, name = Authority(tmp_path), f"ann-{uuid.uuid4().hex[:6]}"
    two.estate.kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", f"--user={name}")
    with api_server(two.estate, tmp_path, authority.path) as address:
        for until, expected in ((DAY, "create"), (-DAY, "hold")):
            pair = authority.pair(name, until=until)
            files = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
            kubeconfig(two.estate, files, address)
            until_it(lambda expected=expected: set(actions(two)) == {expected})
        assert re.match(r"the client certificate has expired \(.* UTC\); put a new one into \S+", two.held())
    two.estate.kubectl("delete", "clusterrolebinding", name)


def actions(two: Two) -> list[str]:
    return list(two.estate.plan("--site", f"name={two.other}").values())


def until_it(holds: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)
