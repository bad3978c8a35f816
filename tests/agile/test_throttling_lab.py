"""A real API server that throttles, by its own priority and fairness."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.model.observation import Present
from orchestrator.modes.agile.driver import AgileDriver
from tests.agile import webhooks
from tests.agile.estates import Estate, unit
from tests.waiting import until

pytestmark = pytest.mark.lab

# Who may do one thing at a time, in this one respect. Administrators of a lab are exempt: a service account is not.
LIMITED = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: limited, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: limited}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: limited, namespace: default}]
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: narrow}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: narrow}
spec:
  priorityLevelConfiguration: {name: narrow}
  matchingPrecedence: 2
  rules:
    - subjects: [{kind: ServiceAccount, serviceAccount: {name: limited, namespace: default}}]
      resourceRules:
        - {verbs: [list, patch], apiGroups: [""], resources: [configmaps], namespaces: ["*"], clusterScope: true}
"""


def config(namespace: str, name: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
def limited(
    estate: Estate, estate_again: Callable[..., Estate], kubectl: Callable[..., str], tmp_path: Path
) -> Iterator[Estate]:
    """The same estate, seen by a user whom the API server limits."""
    kubectl("apply", "-f", "-", stdin=LIMITED)
    given = yaml.safe_load(Path(str(estate.driver._site.kubeconfig)).read_text())
    given["users"][0]["user"] = {"token": kubectl("create", "token", "limited").strip()}
    path = tmp_path / "limited.kubeconfig"
    path.write_text(yaml.safe_dump(given))
    yield estate_again(kubeconfig=path)
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=LIMITED)


def test_a_cluster_that_throttles_is_asked_again_until_it_takes_the_question(
    estate: Estate, limited: Estate, kubectl: Callable[..., str], tmp_path: Path
) -> None:
    wanted = [unit(config("throttled", "one", key="1"))]
    estate.converge(wanted)
    api, free = AgileDriver(limited.driver._site)._reach().api, threading.Event()

    def counted(what: str) -> int:
        metric = f"apiserver_flowcontrol_{what}_requests_total"
        lines = (line for line in kubectl("get", "--raw", "/metrics").splitlines() if line.startswith(metric))
        return sum(int(float(line.split()[-1])) for line in lines if 'priority_level="narrow"' in line)

    def is_limited() -> bool:
        api.get("/api/v1/configmaps", limit="1")
        return counted("dispatched") > 0

    def slowly(thing: dict[str, Any]) -> webhooks.Patch:
        free.wait(25)
        return []

    until(is_limited, "the API server has not taken the limit", 30)
    with webhooks.serving(tmp_path / "hook", slowly) as hook, ThreadPoolExecutor(max_workers=2) as pool:
        slow = hook.configuration("slow", "throttled", resources=["configmaps"], groups=[""])
        slow["webhooks"][0]["timeoutSeconds"] = 30
        kubectl("apply", "-f", "-", stdin=json.dumps(slow))
        try:
            path = "/api/v1/namespaces/throttled/configmaps/slow"
            making = pool.submit(api.apply, path, config("throttled", "slow"), force=True)
            until(lambda: bool(hook.reviewed), "nothing takes the only place", 30)
            seeing = pool.submit(limited.observe, wanted)
            until(lambda: counted("rejected") > 0, "nothing was refused", 30)
            assert not seeing.done()
            free.set()
            seen = seeing.result(30).units[wanted[0].address]
            making.result(30)
        finally:
            free.set()
            kubectl("delete", "mutatingwebhookconfiguration", "slow")
    assert isinstance(seen, Present), seen
