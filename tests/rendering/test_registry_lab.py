"""Charts of a registry and of a repository that want a login, fetched by the real helm from real servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.model.change import Known
from orchestrator.rendering import ProgramRenderer
from tests.agile.servers import Authority
from tests.desired.estates import PLACEMENT, Made, Make
from tests.rendering.registries import BASIC, WORD, pushed, registry, repository, tokens

pytestmark = pytest.mark.lab

PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
SPEC = """
parameters:
  password: {type: secret}
agile:
  web:
    namespace: shop
    helm:
      CHART
      login: {username: robot, password: "${parameters.password}"}
"""
Renderers = Callable[[], ProgramRenderer]


def wrong(made: Made, password: str = WORD) -> str:
    (one,) = made.wrong(Known(), PASSWORD=password).diagnostics
    assert WORD not in str(one)
    assert password not in str(one)
    return str(one)


def test_a_chart_of_a_registry_is_fetched_by_digest_with_a_login(
    make: Make, renderers: Renderers, programs: dict[str, Path], archive: Path, tmp_path: Path, spied: Path
) -> None:
    def placed(digest: str, *, login: bool = True, version: str = "1.0.0") -> Made:
        chart = f"chart: oci://{address}/charts/web\n      version: {version}\n      digest: {digest}"
        spec = SPEC.replace("CHART", chart)
        made = make(spec if login else spec[: spec.index("      login")], placement=PLACED)
        made.render = renderers()
        return made

    with registry(tmp_path) as address:
        digest = pushed(programs["helm"], archive, address, tmp_path)
        seen_before = spied.read_text()
        assert "cannot be fetched" in wrong(placed("sha256:" + "0" * 64))
        assert "401" in wrong(placed(digest), "wrong-word")
        assert "credential not found" in wrong(placed(digest, login=False))
        assert "is that of version 1.0.0" in wrong(placed(digest, version="1.0.1"))
        made = placed(digest)
        (unit,) = made.resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
    again = placed(digest)  # the registry is gone
    assert len(again.resolve(Known(), PASSWORD=WORD).units) == 1
    assert again.render.runs == 0
    assert WORD not in spied.read_text().removeprefix(seen_before)
    for folder in ("renderings", "charts"):
        assert not any(WORD.encode() in path.read_bytes() for path in (tmp_path / folder).iterdir())


def test_a_chart_of_a_repository_is_fetched_with_a_login(
    make: Make, renderers: Renderers, programs: dict[str, Path], archive: Path, spied: Path
) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with repository(programs["helm"], archive) as url:
        chart = f"chart: web\n      repository: {url}\n      version: 1.0.0\n      digest: sha256:{digest}"
        made = make(SPEC.replace("CHART", chart), placement=PLACED)
        made.render = renderers()
        assert "401" in wrong(made, "wrong-word")
        (unit,) = made.resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
    assert WORD not in spied.read_text()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A private one, which this computer trusts beside all others."""
    (tmp_path / "authorities").mkdir()
    made = Authority(tmp_path / "authorities")
    monkeypatch.setenv("SSL_CERT_DIR", str(made.folder))
    return made


OTHER = "127.0.0.2"  # a registry at 127.0.0.1 is spoken to without TLS


def test_a_registry_with_tokens_and_a_private_authority(
    make: Make,
    renderers: Renderers,
    programs: dict[str, Path],
    archive: Path,
    tmp_path: Path,
    spied: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The login is for the server of tokens that the registry names; the token is what the registry is asked with."""

    def placed(digest: str) -> Made:
        chart = f"chart: oci://{address}/charts/web\n      version: 1.0.0\n      digest: {digest}"
        made = make(SPEC.replace("CHART", chart), placement=PLACED)
        made.render = renderers()
        return made

    tls = authority.pair("registry", host=OTHER)
    with tokens(tmp_path, OTHER, tls) as (auth, given), registry(tmp_path, host=OTHER, tls=tls, auth=auth) as address:
        digest = pushed(programs["helm"], archive, address, tmp_path, "--ca-file", str(authority.path))
        seen_before, before = spied.read_text(), len(given)
        assert "401" in wrong(placed(digest), "wrong-word")
        with monkeypatch.context() as without:
            without.delenv("SSL_CERT_DIR")
            said = wrong(placed(digest))
            assert "certificate signed by unknown authority" in said
            assert "SSL_CERT_DIR" in said
        assert len(given) == before
        (unit,) = placed(digest).resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
        assert len(given) > before
    kept = [path for folder in ("renderings", "charts") for path in (tmp_path / folder).iterdir()]
    left = spied.read_text().removeprefix(seen_before).encode() + b"".join(path.read_bytes() for path in kept)
    assert not [word for word in (WORD, BASIC.split()[1], *given) if word.encode() in left]


def test_a_repository_with_a_private_authority(
    make: Make,
    renderers: Renderers,
    programs: dict[str, Path],
    archive: Path,
    spied: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def placed() -> Made:
        chart = f"chart: web\n      repository: {url}\n      version: 1.0.0\n      digest: sha256:{digest}"
        made = make(SPEC.replace("CHART", chart), placement=PLACED)
        made.render = renderers()
        return made

    with repository(programs["helm"], archive, authority.pair("repository")) as url:
        assert "401" in wrong(placed(), "wrong-word")
        with monkeypatch.context() as without:
            without.delenv("SSL_CERT_DIR")
            assert "certificate signed by unknown authority" in wrong(placed())
        (unit,) = placed().resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
    assert WORD not in spied.read_text()
