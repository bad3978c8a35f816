"""A kubeconfig that is missing, broken or wants too much: one clear message each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import DriverError
from orchestrator.modes.agile.client.kubeconfig import read
from orchestrator.modes.agile.stacks.passphrase import passphrase


def config(user: dict[str, Any], cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://10.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


def error(path: Path, content: Any, *, context: str | None = None, allowed: tuple[str, ...] = ()) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    try:
        access = read(path, context, allowed)
        if access.login:
            access.login()
    except DriverError as found:
        return str(found)
    raise AssertionError("it was accepted")


def test_a_missing_file_is_named(kubeconfig: Path) -> None:
    with pytest.raises(DriverError, match="there is no such file; check `agile"):
        read(kubeconfig, None, ())


def test_what_is_not_a_kubeconfig_is_refused(kubeconfig: Path) -> None:
    assert ":1:5: not valid YAML" in error(kubeconfig, "a: b: c")
    assert "not a kubeconfig" in error(kubeconfig, "just text")
    assert "not a kubeconfig" in error(kubeconfig, {"clusters": 1})


def test_a_context_that_is_not_there_is_named_with_those_that_are(kubeconfig: Path) -> None:
    assert "there is no context `prod`; there are: x" in error(kubeconfig, config({}), context="prod")


def test_a_program_is_not_started_that_the_site_does_not_allow(kubeconfig: Path, tmp_path: Path) -> None:
    touch = {"exec": {"command": "touch", "args": [str(tmp_path / "touched")]}}
    assert "wants to run `touch`" in error(kubeconfig, config(touch))
    assert "wants to run `touch`" in error(kubeconfig, config(touch), allowed=("kubelogin",))
    assert not (tmp_path / "touched").exists()
    assert "auth-provider" in error(
        kubeconfig, config({"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}})
    )


def test_an_allowed_program_gives_the_token(kubeconfig: Path) -> None:
    status = {"token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z"}
    printing = {"command": sys.executable, "args": ["-c", f"print({json.dumps(json.dumps({'status': status}))})"]}
    kubeconfig.write_text(yaml.safe_dump(config({"exec": printing})))
    access = read(kubeconfig, None, (sys.executable,))
    assert access.login is not None
    assert (access.login().token, access.login().until) == ("t", 1893456000.0)


@pytest.mark.parametrize(
    ("code", "words"),
    [("raise SystemExit('no login')", "ended with 1: no login"), ("print('hello')", "did not print an ExecCredential")],
)
def test_an_allowed_program_that_fails_is_told(kubeconfig: Path, code: str, words: str) -> None:
    broken = {"exec": {"command": sys.executable, "args": ["-c", code]}}
    assert words in error(kubeconfig, config(broken), allowed=(sys.executable,))


def test_paths_of_certificates_are_relative_to_the_kubeconfig(kubeconfig: Path) -> None:
    (kubeconfig.parent / "pki").mkdir()
    (kubeconfig.parent / "pki" / "client.crt").write_text("PEM")
    kubeconfig.write_text(yaml.safe_dump(config({"client-certificate": "pki/client.crt", "tokenFile": "token"})))
    access = read(kubeconfig, None, ())
    assert (access.certificate, access.server) == (b"PEM", "https://10.0.0.1:6443")
    with pytest.raises(DriverError, match="`tokenFile`: token: No such file"):
        access.token()
    (kubeconfig.parent / "token").write_text("first\n")
    assert access.token() == "first"
    (kubeconfig.parent / "token").write_text("second\n")
    assert access.token() == "second"


def test_secrets_of_a_kubeconfig_are_not_in_its_representation(kubeconfig: Path) -> None:
    kubeconfig.write_text(
        yaml.safe_dump(config({"client-key-data": "c2VjcmV0", "username": "a", "password": "hunter2"}))
    )
    text = repr(read(kubeconfig, None, ()))
    assert "hunter2" not in text
    assert "secret" not in text


def test_the_passphrase_comes_by_reference_or_from_a_private_key_that_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from file\n")
    assert passphrase("e", {"ORCHESTRATOR_PASSPHRASE": "given"}) == "given"
    assert passphrase("e", {"ORCHESTRATOR_PASSPHRASE_FILE": str(tmp_path / "file")}) == "from file"
    own = {"XDG_DATA_HOME": str(tmp_path / "data")}
    assert passphrase("e", own) == passphrase("e", own) != passphrase("other", own)
    (key,) = (tmp_path / "data").rglob("e.key")
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(DriverError, match="No such file"):
        passphrase("e", {"ORCHESTRATOR_PASSPHRASE_FILE": str(tmp_path / "missing")})
