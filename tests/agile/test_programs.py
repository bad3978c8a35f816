"""What programs bring with them, as far as no engine is needed: events, checkpoints, secrets, exports, plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.address import PROGRAM, Address, Mode
from orchestrator.model.unit import Stamp
from orchestrator.model.values import Secret, Unknown, masked
from orchestrator.modes.agile.programs import events, exports, properties, structs
from orchestrator.modes.agile.programs import values as engine_values
from orchestrator.modes.agile.programs.checkpoint import Checkpoint
from orchestrator.modes.agile.programs.kept import Kept, kept_of, newest
from orchestrator.modes.agile.programs.room import Room
from orchestrator.modes.agile.programs.secrets import Vault, WrongPassphrase
from orchestrator.toolchain.plugins import Plugin, parse

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
ADDRESS = Address("lab", "shop", Mode.AGILE, "infra", PROGRAM, "shop/infra")
URN = "urn:pulumi:s::p::aws:s3/bucket:Bucket::assets"


@pytest.fixture(scope="module")
def vault() -> Vault:
    return Vault.new("correct horse")


def checkpoint(vault: Vault, serial: int = 1, **outputs: Any) -> Checkpoint:
    root = {"urn": "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s", "type": "pulumi:pulumi:Stack", "outputs": outputs}
    provider = {"urn": "u::p::x::d", "type": "pulumi:providers:aws", "inputs": {"version": "6.1.0"}}
    bucket = {"urn": URN, "type": "aws:s3/bucket:Bucket"}
    pending = [{"resource": {"urn": URN}, "type": "creating"}]
    secrets = {"type": "passphrase", "state": {"salt": vault.state}}
    latest = {"resources": [root, provider, bucket], "secrets_providers": secrets, "pending_operations": pending}
    return Checkpoint(json.dumps({"version": 3, "checkpoint": {"latest": latest}}).encode(), serial)


def sealed(vault: Vault, value: Any) -> dict[str, str]:
    return {SIGNATURE: SECRET, "ciphertext": vault.encrypt(json.dumps(value))}


def test_outputs_of_a_checkpoint_are_opened_with_the_passphrase_only(vault: Vault) -> None:
    made = checkpoint(vault, port=5432, key=sealed(vault, "hunter22"), both=sealed(vault, {"a": [1]}))
    outputs = made.outputs("correct horse")
    assert masked(outputs) == {"port": 5432, "key": "(secret)", "both": {"a": ["(secret)"]}}
    assert isinstance(outputs["key"], Secret)
    assert outputs["key"].reveal() == "hunter22"
    with pytest.raises(WrongPassphrase):
        made.outputs("another")


def test_a_checkpoint_tells_its_resources_plugins_and_what_is_pending(vault: Vault) -> None:
    made = checkpoint(vault)
    assert [r["urn"] for r in made.resources] == [URN]
    assert made.providers == [("aws", "6.1.0")]
    assert made.pending == ["creating aws:Bucket assets"]
    assert Checkpoint(b"{").resources == []
    assert Checkpoint.unpacked(made.packed(), 1) == made


def test_what_is_kept_on_the_cluster_reads_back_and_what_was_spoilt_is_none(vault: Vault) -> None:
    kept = Kept(ADDRESS, "shop", "p", "lab.shop.infra", Stamp("e", ADDRESS, "d1"), checkpoint(vault), unfinished="why")
    thing = kept.manifest("e")
    thing["metadata"]["uid"] = "u1"
    again = kept_of(thing)
    assert again is not None
    assert (again.checkpoint, again.unfinished, again.uid, again.stamp) == (kept.checkpoint, "why", "u1", kept.stamp)
    thing["data"]["about"] = "%%%"
    assert kept_of(thing) is None


def test_a_state_that_the_cluster_has_lost_comes_from_the_store_unconfirmed_and_an_emptied_one_does_not(
    vault: Vault,
) -> None:
    class States:
        def __init__(self, state: Checkpoint) -> None:
            self.row = (state.serial, state.packed(), {"namespace": "shop", "project": "p", "stack": "s"})

        def newest_state(self, key: object) -> Any:
            return self.row

        def save_state(self, *row: object) -> None:
            raise AssertionError

    found = newest(None, ADDRESS, "e", States(checkpoint(vault, 7)))
    assert found is not None
    assert (found.checkpoint.serial, found.confirmed, found.stamp.digest) == (7, False, "")
    assert newest(None, ADDRESS, "e", States(Checkpoint.empty("p", "s"))) is None


def log_of(tmp_path: Path, *told: dict[str, Any]) -> events.Log:
    file = tmp_path / "events.json"
    file.write_text("\n".join(json.dumps(event) for event in told) + '\n{"sequence": 9, "resou')
    return events.read(file, lambda text: text.replace("canary", "(secret)"))


def step(op: str, **more: Any) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": URN, "type": "aws:s3/bucket:Bucket", **more}}}


def test_events_become_differences_with_secrets_masked_and_the_property_that_forces_a_replacement(
    tmp_path: Path,
) -> None:
    old = {"inputs": {"name": "a", "tags": {"x.y": "1"}, "key": {SIGNATURE: SECRET, "ciphertext": "[secret]"}}}
    new = {"inputs": {"name": "b", "tags": {"x.y": "canary-2"}, "key": {SIGNATURE: SECRET, "ciphertext": "[secret]"}}}
    detail = {
        "name": {"diffKind": "update-replace", "inputDiff": True},
        'tags["x.y"]': {"diffKind": "update", "inputDiff": True},
        "key": {"diffKind": "update", "inputDiff": True},
    }
    log = log_of(
        tmp_path,
        step("delete-replaced", old=old),
        step("replace", old=old, new=new, keys=["name"], detailedDiff=detail),
        step("create-replacement", old=old, new=new, keys=["name"], detailedDiff=detail),
    )
    assert log.counts() == {"replace": 1}
    assert [(d.path, masked(d.old), masked(d.new), d.replace) for d in log.differences] == [
        ("aws:Bucket assets: key", "(secret)", "(secret)", False),
        ("aws:Bucket assets: name", "a", "b", True),
        ('aws:Bucket assets: tags["x.y"]', "1", "(secret)", False),
    ]


def test_events_tell_exports_errors_and_what_failed(tmp_path: Path) -> None:
    root = {"op": "update", "urn": "u::p::pulumi:pulumi:Stack::p-s", "type": "pulumi:pulumi:Stack"}
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    log = log_of(
        tmp_path,
        {"resOutputsEvent": {"metadata": {**root, "new": {"outputs": {"port": 1.0, "later": unknown}}}}},
        {"diagnosticEvent": {"urn": URN, "severity": "error", "message": "<{%reset%}>no canary\n"}},
        {"diagnosticEvent": {"urn": URN, "severity": "debug", "message": "noise"}},
        {"resOpFailedEvent": {"metadata": {"urn": URN}}},
    )
    assert log.outputs == {"port": 1, "later": Unknown("any")}
    assert (log.errors, log.failed) == (["aws:Bucket assets: no (secret)"], [URN])


def test_exports_are_held_against_what_is_declared() -> None:
    found = {"port": "5432", "extra": 1, "key": Secret("x"), "later": Unknown("any"), "n": 1}
    declared = {"port": "integer", "key": "secret", "later": "list", "missing": "string", "n": "number"}
    assert list(exports.problems(found, declared)) == [
        "it exports `extra`, which is not declared; declare it under `outputs`, or export it no more",
        "it exports `port` as a string, declared is an integer",
        "it does not export `missing`, which is declared; pulumi.export('missing', …)",
    ]


def test_exports_that_a_preview_leaves_as_they_are_stay_known_and_secrets_never_do() -> None:
    now = {"port": 1, "zone": "a", "token": Secret("x"), "gone": 1}
    previewed = {"port": 1, "zone": "b", "token": Secret(None), "new": Unknown("any")}
    found = exports.after(now, previewed, "a/b")
    later = Unknown("any", frozenset({"a/b"}))
    assert found.pop("token") == Unknown("any", frozenset({"a/b"}), secret=True)
    assert found == {"port": 1, "zone": later, "gone": later, "new": later}


@pytest.mark.parametrize(
    ("path", "steps"),
    [("a.b[0].c", ["a", "b", 0, "c"]), ('a["x.y"].b', ["a", "x.y", "b"]), ('["q\\"r"]', ['q"r'])],
)
def test_property_paths(path: str, steps: list[Any]) -> None:
    assert engine_values.steps(path) == steps


def test_what_an_engine_has_left_is_told_from_what_it_was_given(tmp_path: Path, vault: Vault) -> None:
    room = Room(tmp_path, "p", "s")
    assert room.left() is None
    room.prepare(checkpoint(vault, 3))
    assert room.left() is None
    left = checkpoint(vault, 3, port=1).content
    (tmp_path / "state/.pulumi/stacks/p/s.json").write_bytes(left)
    assert room.left() == (Checkpoint(left, 4), 3)
    room.taken_over(4)
    assert room.left() is None
    (tmp_path / "state/.pulumi/stacks/p/s.json").write_bytes(left[:20])
    assert room.left() is None  # half written: no state at all


def test_plugins_are_named_by_the_sdk_with_where_their_release_lies() -> None:
    plugin = parse("pulumi-resource-aws@v6.1.0")
    assert plugin == Plugin("aws", "6.1.0")
    assert plugin.release is not None
    assert plugin.release.for_arch("amd64").url.endswith(
        "/pulumi/pulumi-aws/releases/download/v6.1.0/pulumi-resource-aws-v6.1.0-linux-amd64.tar.gz"
    )
    third = Plugin("netbox", "1.0.0", "github://api.github.com/acme/pulumi-netbox")
    assert third.release is not None
    assert "/acme/pulumi-netbox/releases/" in third.release.url
    assert Plugin("odd", "1.0.0", "https://plugins.example").release is None  # nothing there could verify it
    assert parse("pulumi-resource-aws") is None


def test_differences_of_objects_name_their_place_and_what_forces_a_new_one() -> None:
    old = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a.b": "1"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "ports": [{"port": 80}]},
    }
    new = json.loads(json.dumps(old).replace('"1"', '"2"').replace('"app": "a"', '"app": "b"').replace("80", "81"))
    changed = list(properties.changed(old, new, ()))
    assert [(properties.written(path), properties.forces(old, path)) for path in changed] == [
        ('metadata.labels["a.b"]', False),
        ("spec.ports[0].port", False),
        ("spec.selector.matchLabels.app", True),
    ]


def test_what_is_secret_in_inputs_is_secret_in_outputs_and_a_secrets_data_always() -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    live = {**inputs, "data": {"k": "dg=="}, "metadata": {"name": "s", "uid": "u", "managedFields": []}}
    del live["stringData"]
    found, secret = structs.plain(properties.outputs(live, inputs, set()))
    assert secret == {("data",), ("__inputs",)}
    assert found["metadata"] == {"name": "s", "uid": "u"}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"env": [{"value": "x"}]}]}}
    _, secret = structs.plain(properties.outputs(pod, pod, {("spec", "containers", 0, "env", 0, "value")}))
    assert ("spec", "containers") in secret


@pytest.mark.parametrize("token", ["helm.sh/v3:Release", "apps/v1:DeploymentPatch", "core/v1:ConfigMapList"])
def test_types_that_are_no_objects_are_refused_with_the_way_out(token: str) -> None:
    with pytest.raises(properties.NotServed, match="provider: official"):
        properties.type_of(f"urn:pulumi:s::p::kubernetes:{token}::x")
    assert properties.type_of("urn:pulumi:s::p::a:b:C$kubernetes:core/v1:Service::x") == ("v1", "Service")
