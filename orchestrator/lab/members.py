"""The members of the lab's control plane and how each is started: pure, from folder and ports to argv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# In the order of starting. The first two are what the others need.
STORE, API_SERVER = "etcd", "kube-apiserver"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kwok")
MEMBERS = (STORE, API_SERVER, *CONTROLLERS)

PORTS = ("etcd", "etcd-peer", "kube-apiserver")

# Who may call the API server: name -> (user, group). `admin` is the one in the lab's kubeconfig.
USERS: Mapping[str, tuple[str, str]] = {
    "admin": ("orchestrator-lab", "system:masters"),
    # A service account for each of its controllers would be the other way; nobody attacks a lab from inside.
    "kube-controller-manager": ("system:kube-controller-manager", "system:masters"),
    "kube-scheduler": ("system:kube-scheduler", "system:authenticated"),
    "kwok": ("kwok", "system:masters"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the control plane's files are and which loopback ports are its own."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    @property
    def tokens(self) -> Path:
        return self.folder / "pki" / "tokens.csv"

    @property
    def node(self) -> str:
        return "lab"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a user of `USERS`."""
        return self.folder / ("kubeconfig" if user == "admin" else f"pki/{user}.kubeconfig")

    def log(self, member: str) -> Path:
        return self.folder / "logs" / f"{member}.log"

    def argv(self, member: str, program: Path) -> list[str]:
        """The command line of a member; no secret is in it."""
        build = {STORE: self._etcd, API_SERVER: self._apiserver, "kwok": self._kwok}
        return [str(program), *build.get(member, lambda: self._controller(member))()]

    def _etcd(self) -> list[str]:
        pki = self.folder / "pki"
        client, peer = (f"https://127.0.0.1:{self.ports[name]}" for name in ("etcd", "etcd-peer"))
        argv = ["--name=lab", f"--data-dir={self.folder / 'data'}", "--unsafe-no-fsync", "--log-level=warn"]
        argv += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=lab={peer}"]
        for kind in ("", "peer-"):
            argv += [f"--{kind}cert-file={pki / 'server.crt'}", f"--{kind}key-file={pki / 'server.key'}"]
            argv += [f"--{kind}trusted-ca-file={self.ca}", f"--{kind}client-cert-auth"]
        return argv

    def _apiserver(self) -> list[str]:
        pki = self.folder / "pki"
        return [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--external-hostname=localhost",
            f"--secure-port={self.ports[API_SERVER]}",
            # The service `kubernetes` may not have a loopback endpoint, and nothing here would use it.
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'data'}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--etcd-servers=https://127.0.0.1:{self.ports['etcd']}",
            f"--etcd-cafile={self.ca}",
            f"--etcd-certfile={pki / 'server.crt'}",
            f"--etcd-keyfile={pki / 'server.key'}",
            f"--token-auth-file={self.tokens}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def _controller(self, member: str) -> list[str]:
        argv = [
            f"--kubeconfig={self.kubeconfig(member)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]
        argv += ["--kube-api-qps=300", "--kube-api-burst=600"]
        if member == "kube-controller-manager":
            argv += [f"--service-account-private-key-file={self.folder / 'pki' / 'service-account.key'}"]
            argv += [f"--root-ca-file={self.ca}"]
        return argv

    def _kwok(self) -> list[str]:
        stages = Path(__file__).with_name("stages")
        argv = [f"--kubeconfig={self.kubeconfig('kwok')}", "--manage-all-nodes", "--node-lease-duration-seconds=40"]
        argv += ["--cidr=10.244.0.0/16", "--node-ip=10.0.0.1", "--v=WARN"]
        return argv + [f"--config={stages / name}" for name in ("pods.yaml", "nodes.yaml")]
