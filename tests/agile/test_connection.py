"""The pool of connections: with and without a proxy on the way it is set up the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import urllib3

from orchestrator.modes.agile.client.connection import Connection
from orchestrator.modes.agile.client.kubeconfig import Access

PROXY = "http://proxy.example:3128"
FAR = Access("https://10.0.0.1:6443", ca=b"ca", certificate=b"crt", key=b"key", server_name="api.example")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def pool(access: Access, scratch: Path) -> urllib3.PoolManager:
    connection = Connection(access, scratch)
    found = connection._pool
    connection.close()
    assert isinstance(found, urllib3.PoolManager)
    return found


def settings(found: urllib3.PoolManager) -> dict[str, object]:
    """What its connections are made with; of the files, their names."""
    kept = {name: value for name, value in found.connection_pool_kw.items() if not name.startswith("_proxy")}
    return {name: Path(value).name if isinstance(value, str) else value for name, value in kept.items()}


def test_a_proxy_of_the_environment_is_used_and_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = pool(FAR, tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    proxied = pool(FAR, tmp_path)
    assert not isinstance(direct, urllib3.ProxyManager)
    assert isinstance(proxied, urllib3.ProxyManager)
    assert proxied.proxy_config is not None
    assert settings(direct) == settings(proxied)
    assert settings(direct)["server_hostname"] == "api.example"


def test_the_environment_can_except_a_cluster_from_its_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = pool(FAR, tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    excepted = pool(FAR, tmp_path)
    assert not isinstance(excepted, urllib3.ProxyManager)
    assert settings(direct) == settings(excepted)


def test_a_cluster_on_this_computer_needs_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert not isinstance(pool(Access("https://127.0.0.1:6443"), tmp_path), urllib3.ProxyManager)


def test_the_proxy_of_a_kubeconfig_is_used(tmp_path: Path) -> None:
    found = pool(Access("https://10.0.0.1:6443", proxy=PROXY), tmp_path)
    assert isinstance(found, urllib3.ProxyManager)
    assert found.proxy is not None
    assert found.proxy.url == PROXY


def test_the_slow_client_library_is_not_imported_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "kubernetes", raising=False)
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    pool(FAR, tmp_path)
