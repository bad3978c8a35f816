"""A namespace for each team, with a quota and the traffic that may come in."""

import pulumi
from pulumi_kubernetes.core.v1 import Namespace, ResourceQuota
from pulumi_kubernetes.networking.v1 import NetworkPolicy

teams = dict(entry.split("=") for entry in pulumi.Config().require("teams").split())
for team, pods in teams.items():
    place = Namespace(team, metadata={"name": f"team-{team}"})
    inside = {"namespace": place.metadata.name}
    ResourceQuota(f"{team}-pods", metadata={**inside, "name": "pods"}, spec={"hard": {"pods": pods}})
    NetworkPolicy(
        f"{team}-traffic",
        metadata={**inside, "name": "from-the-team"},
        spec={"pod_selector": {}, "policy_types": ["Ingress"], "ingress": [{"from_": [{"pod_selector": {}}]}]},
    )
pulumi.export("names", ", ".join(sorted(teams)))
pulumi.export("pods", sum(int(pods) for pods in teams.values()))
