"""Secrets are read by reference, and kept out of texts in whatever form base64 gives them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.secrets import read_secrets, scrubber
from orchestrator.documents.models import SecretRef
from orchestrator.errors import DocumentsError
from orchestrator.model.source import Source
from orchestrator.model.values import Secret

HERE = Source("shop.yaml", 12, 5)


def ref(**source: str) -> SecretRef:
    return SecretRef.model_validate({"secretRef": source})


def test_a_secret_comes_from_the_environment_or_a_file_of_the_estate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "from the environment")
    (tmp_path / "secret").write_text("from a file\n")
    refs = {ref(env="A_SECRET"): HERE, ref(file="secret"): HERE}
    assert [s.reveal() for s in read_secrets(refs, tmp_path).values()] == ["from the environment", "from a file"]


def test_all_missing_secrets_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    refs = {ref(env="NOT_SET_ANYWHERE"): HERE, ref(file="nowhere"): HERE}
    with pytest.raises(DocumentsError) as caught:
        read_secrets(refs, tmp_path)
    assert len(caught.value.diagnostics) == 2
    assert "shop.yaml:12:5" in str(caught.value)
    assert "export NOT_SET_ANYWHERE" in str(caught.value)


@given(
    st.binary(max_size=9), st.text(min_size=12, max_size=40).filter(lambda t: t.isprintable()), st.binary(max_size=9)
)
def test_a_scrubbed_text_never_holds_a_secret_plain_or_inside_base64(before: bytes, secret: str, after: bytes) -> None:
    scrub = scrubber([Secret(secret)])
    assert secret not in scrub(f"a{secret}b")
    whole = base64.b64encode(before + secret.encode() + after).decode()
    assert scrub(whole) != whole


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert scrubber([])("as it is") == "as it is"
    assert scrubber([Secret("abc")])("abc is too short to be searched for") == "abc is too short to be searched for"
