"""`orchestrator toolchain` and `orchestrator doctor` as a person or a script uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import doctor as doctor_module
from orchestrator.cli.doctor import Check, doctor, refusal_cause, table
from orchestrator.cli.toolchain import toolchain
from orchestrator.errors import ToolchainError, UsageError
from tests.toolchain.conftest import ReleaseServer, script, sha256
from tests.toolchain.test_download import release


@pytest.fixture
def etcd_like(server: ReleaseServer) -> str:
    """A release of one small program that can be installed."""
    content = script("1.36.3")
    server.put(release("kube-scheduler").url, content)
    server.put(release("kube-scheduler").checksums_url, sha256(content).encode())
    return "kube-scheduler"


def test_install_tells_its_way_on_stderr_and_path_prints_only_the_path(etcd_like: str) -> None:
    installed = CliRunner().invoke(toolchain, ["install", etcd_like], catch_exceptions=False)
    assert installed.exit_code == 0
    assert installed.stdout == ""
    assert "downloading" in installed.stderr
    assert "downloaded 1.36.3" in installed.stderr

    again = CliRunner().invoke(toolchain, ["install", etcd_like], catch_exceptions=False)
    assert again.stderr.startswith("kube-scheduler: 1.36.3, official release, /")

    path = CliRunner().invoke(toolchain, ["path", etcd_like], catch_exceptions=False).stdout
    assert Path(path.strip()).read_bytes() == script("1.36.3")


def test_list_tells_what_is_there_and_what_is_not(etcd_like: str) -> None:
    CliRunner().invoke(toolchain, ["install", etcd_like], catch_exceptions=False)
    listed = json.loads(CliRunner().invoke(toolchain, ["list", "-o", "json"], catch_exceptions=False).stdout)
    by_name = {entry["name"]: entry for entry in listed["programs"]}
    assert by_name[etcd_like]["way"] == "downloaded"
    assert by_name[etcd_like]["size"] == len(script("1.36.3"))
    assert by_name["pulumi"] == {
        "name": "pulumi", "pinned": "3.259.0", "found": None, "way": None, "path": None, "size": None,
    }  # fmt: skip
    text = CliRunner().invoke(toolchain, ["list"], catch_exceptions=False).stdout
    assert "not installed" in text
    assert "official release" in text


def test_path_of_a_missing_program_says_how_to_install_it() -> None:
    result = CliRunner().invoke(toolchain, ["path", "etcd"])
    assert isinstance(result.exception, ToolchainError)
    assert "orchestrator toolchain install etcd" in str(result.exception)


@pytest.mark.parametrize("command", ["install", "path"])
def test_unknown_program_is_a_usage_error(command: str) -> None:
    result = CliRunner().invoke(toolchain, [command, "docker"])
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces is 0"),
        ({"user/max_user_namespaces": "100", "kernel/unprivileged_userns_clone": "0"}, "unprivileged_userns_clone=1"),
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, "AppArmor"),
        ({}, "seccomp"),
    ],
)
def test_refused_user_namespaces_are_explained(settings: dict[str, str], cause: str, tmp_path: Path) -> None:
    for name, value in settings.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(value + "\n")
    assert cause in refusal_cause(tmp_path)


def test_doctor_fails_only_for_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    warned = Check("proot", "warn", "not there", "install it")
    missing = Check("pulumi", "missing", "not installed", "orchestrator toolchain install pulumi")
    monkeypatch.setattr(doctor_module, "CHECKS", (lambda: [warned],))
    assert CliRunner().invoke(doctor, []).exit_code == 0
    monkeypatch.setattr(doctor_module, "CHECKS", (lambda: [warned], lambda: [missing]))
    result = CliRunner().invoke(doctor, ["-o", "json"])
    assert result.exit_code == 1
    assert [line["verdict"] for line in json.loads(result.stdout)["checks"]] == ["warn", "missing"]


def test_what_to_do_stands_below_its_line() -> None:
    text = table([Check("git", "ok", "2.39"), Check("bubblewrap", "missing", "not there", "install it")])
    assert text.splitlines() == [
        "ok       git         2.39",
        "missing  bubblewrap  not there",
        "         -> install it",
    ]


@pytest.mark.lab
def test_doctor_of_a_machine_with_everything_installed_is_content() -> None:
    result = CliRunner().invoke(doctor, ["-o", "json"], catch_exceptions=False)
    checks = {line["name"]: line for line in json.loads(result.stdout)["checks"]}
    assert checks["pulumi"]["verdict"] == "ok"
    assert checks["ansible"]["verdict"] == "ok"
    assert all(line["todo"] for line in checks.values() if line["verdict"] == "missing")
    assert result.exit_code == int(any(line["verdict"] == "missing" for line in checks.values()))
