"""Report pages over HTTP: verified, confined to the store, with a policy that lets nothing run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from ddd_llm.platform.pages import application
from ddd_llm.platform.report import Page
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.records import Record
from ddd_llm.store.session import Held, Session

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_store(tmp_path)


def commit(store: ArtifactStore, files: dict[str, tuple[bytes, str]]) -> Held:
    named = {name: store.put_bytes(data, media) for name, (data, media) in files.items()}
    table = store.put_table([("all", pa.table({"id": [EVIL]}))])
    record = Record(
        asset=f"documents{EVIL}", tables={"documents": table}, files=named, fingerprint="f", code_version="c", run_id="r",
        started="s", finished="f", summary={"note": EVIL},
    )  # fmt: skip
    return Session.begin(store, "r").commit(record)


def test_a_report_is_served_as_stored(store: ArtifactStore) -> None:
    page = Page("Report").paragraph(EVIL).encode()
    held = commit(store, {"report/index.html": (page, "text/html"), "report/funnel.png": (b"\x89PNG", "image/png")})
    client = TestClient(application(store))
    answer = client.get(f"/records/{held.digest}")
    assert answer.content == page
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get(f"/records/{held.digest}/funnel.png").content == b"\x89PNG"


def test_pages_made_here_escape_what_documents_say(store: ArtifactStore) -> None:
    held = commit(store, {})
    client = TestClient(application(store))
    for path in ("/", f"/records/{held.digest}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "<img src=x" not in answer.text


def test_damaged_pages_are_refused(store: ArtifactStore, tmp_path: Path) -> None:
    held = commit(store, {"report/index.html": (b"<p>good</p>", "text/html")})
    ref = held.record.files["report/index.html"]
    (tmp_path / "objects" / ref.digest[:2] / ref.digest).write_bytes(b"<p>evil</p>")
    answer = TestClient(application(store)).get(f"/records/{held.digest}")
    assert answer.status_code == 500
    assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/records/..%2f..%2fetc", "/records/" + "a" * 64, "/records/x", "/objects/aa"])
def test_nothing_else_is_served(store: ArtifactStore, path: str) -> None:
    commit(store, {})
    assert TestClient(application(store)).get(path).status_code == 404


def test_model_files_are_not_pages(store: ArtifactStore) -> None:
    held = commit(
        store, {"report/data.bin": (b"x", "application/octet-stream"), "secret.json": (b"{}", "application/json")}
    )
    client = TestClient(application(store))
    assert client.get(f"/records/{held.digest}/data.bin").status_code == 404
    assert client.get(f"/records/{held.digest}/secret.json").status_code == 404


def test_foreign_host_headers_are_refused(store: ArtifactStore) -> None:
    assert TestClient(application(store), base_url="http://evil.example").get("/").status_code == 400
