"""The sources file: what is well formed, what is not, and the embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ddd_llm.corpus.capture import GOVERNANCE
from ddd_llm.corpus.readers.docstrings import installed_version
from ddd_llm.corpus.rights.licences import canonical_licence
from ddd_llm.corpus.sources import Folder, PythonPackage, SourcesFile, resolve_root
from ddd_llm_tests.corpus.helpers import RIGHTS, folder_source, package_source

DEFAULT = Path(__file__).parents[2] / "assets" / "sources.yaml"


def record(**fields: Any) -> dict[str, Any]:
    return {"name": "a", "kind": "folder", "path": "docs", **RIGHTS, **fields}


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("MIT", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("mit or Apache-2.0", "MIT OR Apache-2.0"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        ("MIT AND LicenseRef-Ours", "MIT AND LicenseRef-Ours"),
    ],
)
def test_licences_are_spdx_in_canonical_spelling(given: str, canonical: str) -> None:
    assert canonical_licence(given) == canonical
    assert folder_source(licence=given).licence == canonical


@pytest.mark.parametrize(
    "wrong",
    ["BSD", "MIT AND", "MIT Apache-2.0", "(MIT", "", "NOASSERTION", "MIT WITH Apache-2.0", "see the file", "http://x"],
)
def test_an_ill_formed_licence_is_an_error(wrong: str) -> None:
    with pytest.raises(ValidationError, match="SPDX"):
        folder_source(licence=wrong)


@pytest.mark.parametrize("missing", ["licence", "licence_evidence", "legal_basis"])
def test_a_missing_right_is_well_formed(missing: str) -> None:
    source = Folder.model_validate(record(**{missing: None}))
    assert getattr(source, missing) is None


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"legal_basis": "hope"}, "legal_basis"),
        ({"purpose": ["profit"]}, "purpose"),
        ({"collected": "last week"}, "collected"),
        ({"collected": 20260101}, "collected"),
        ({"owner": "  "}, "owner"),
        ({"licence_evidence": ""}, "licence_evidence"),
        ({"name": "../up"}, "name"),
        ({"name": "<script>"}, "name"),
        ({"surprise": 1}, "surprise"),
        ({"include": []}, "include"),
        ({"kind": "ftp"}, "kind"),
        ({"kind": "python_package"}, "package"),
    ],
)
def test_what_is_ill_formed_is_an_error_at_its_field(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SourcesFile.model_validate({"version": 1, "sources": [record(**fields)]})
    assert any(at in map(str, error["loc"]) or at in error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize("module", ["a/b", "../a", "a..b", "a-b", ""])
def test_import_roots_are_dotted_names(module: str) -> None:
    with pytest.raises(ValidationError):
        package_source(modules=[module])


def test_names_are_unique_and_the_version_is_known() -> None:
    with pytest.raises(ValidationError, match="share the name a"):
        SourcesFile.model_validate({"version": 1, "sources": [record(), record()]})
    with pytest.raises(ValidationError):
        SourcesFile.model_validate({"version": 2, "sources": []})


def test_folders_resolve_against_the_sources_file(tmp_path: Path) -> None:
    file = tmp_path / "assets" / "sources.yaml"
    assert resolve_root(folder_source(path="../docs"), file) == tmp_path / "assets" / ".." / "docs"
    assert resolve_root(folder_source(path="/srv/docs"), file) == Path("/srv/docs")
    assert resolve_root(package_source(), file) == tmp_path / "assets"


def test_the_embedded_default_is_whole() -> None:
    sources = SourcesFile.model_validate(yaml.safe_load(DEFAULT.read_text())).sources
    assert len(sources) >= 12
    for source in sources:
        assert isinstance(source, PythonPackage)
        assert installed_version(source.package) == source.version
    assert [source.name for source in sources if source.licence is None] == ["tokenizers"]


def test_rights_do_not_change_how_a_source_is_read() -> None:
    reading = set(Folder.model_fields) - GOVERNANCE
    assert {"name", "kind", "path", "include", "text_field"} <= reading
    assert not {"owner", "licence", "legal_basis", "purpose", "provenance", "robots", "documents"} & reading
