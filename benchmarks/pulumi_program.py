"""`python -m benchmarks.pulumi_program FOLDER MANIFESTS`: the ordinary Pulumi program, over all objects each time.

One stack, one resource of the SDK for each manifest, checkpoints as they are by default. Pulumi's own Kubernetes
plugin is a release download only; a small provider that applies on the server's side stands in for it, attached by
port: that saves the program the plugin's start and schema, and its own calls.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2, json_format
from pulumi import automation
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from orchestrator import toolchain
from orchestrator.modes.agile.client import kubeconfig
from orchestrator.modes.agile.client.api import Api
from orchestrator.modes.agile.client.connection import Connection

PLURALS = {"ConfigMap": "configmaps", "Namespace": "namespaces"}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, api: Api) -> None:
        self._api = api

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.0.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if request.old_inputs == request.news else kinds.DIFF_SOME)

    def Create(self, request: Any, context: Any) -> Any:
        return provider_pb2.CreateResponse(id=self._apply(request.properties), properties=request.properties)

    def Update(self, request: Any, context: Any) -> Any:
        self._apply(request.news)
        return provider_pb2.UpdateResponse(properties=request.news)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _apply(self, properties: Any) -> str:
        manifest = json_format.MessageToDict(properties)
        meta, plural = manifest["metadata"], PLURALS[manifest["kind"]]
        inside = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
        self._api.apply(f"/api/v1/{inside}{plural}/{meta['name']}", manifest, force=True)
        return f"{meta.get('namespace', '')}/{meta['name']}"


def main(folder: Path, manifests: Path) -> None:
    items = json.loads(manifests.read_text())["items"]
    spaces = [item for item in items if item["kind"] == "Namespace"]
    others = [item for item in items if item["kind"] != "Namespace"]

    def program() -> None:
        made = {
            i["metadata"]["name"]: pulumi.CustomResource("kubernetes:core/v1:Namespace", name(i), i) for i in spaces
        }
        for item in others:
            options = pulumi.ResourceOptions(depends_on=[made[item["metadata"]["namespace"]]])
            pulumi.CustomResource(f"kubernetes:core/v1:{item['kind']}", name(item), item, options)

    scratch = Path(tempfile.mkdtemp())
    connection = Connection(kubeconfig.read(Path(os.environ["KUBECONFIG"]), None, ()), scratch)
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(Api(connection)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for part in ("state", "home", "work"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    found = toolchain.find("pulumi")
    assert found is not None
    os.environ["PATH"] = f"{found.parent}:{os.environ['PATH']}"
    options = automation.LocalWorkspaceOptions(
        work_dir=str(folder / "work"),
        pulumi_home=str(folder / "home"),
        secrets_provider="passphrase",
        env_vars={
            "PULUMI_CONFIG_PASSPHRASE": "benchmark",
            "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
        project_settings=automation.ProjectSettings(
            name="benchmark", runtime="python", backend=automation.ProjectBackend(url=f"file://{folder / 'state'}")
        ),
    )
    stack = automation.create_or_select_stack("all", project_name="benchmark", program=program, opts=options)
    done = stack.up(show_secrets=False, suppress_progress=True)
    print(json.dumps(done.summary.resource_changes))
    server.stop(None)
    connection.close()
    shutil.rmtree(scratch)


def name(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
