"""Input files are refused with file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.platform.inputs import InputError, load_section, load_yaml


class One(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["one"]
    size: int = Field(gt=0)


class Two(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["two"]
    name: str


class Listing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Literal[1]
    items: list[Annotated[One | Two, Field(discriminator="kind")]] = []


GOOD = "version: 1\nitems:\n  - kind: one\n    size: 3\n  - kind: two\n    name: x\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert len(load_yaml(write(tmp_path, GOOD), Listing).items) == 2


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("version: 1\nitems:\n  - kind: one\n    size: -3\n", 4, "items.0.size"),
        ("version: 1\nitems:\n  - kind: two\n", 3, "items.0.name: Field required"),
        ("version: 1\nitems:\n  - kind: one\n    size: 3\n    colour: red\n", 5, "items.0.colour"),
        ("version: 2\n", 1, "version"),
        ("items: []\n", 1, "version: Field required"),
        ("version: 1\nitems: []\nitems: []\n", 3, "given twice"),
        ("version: 1\nitems: [\n", 3, "not YAML"),
        ("version: 1\nitems:\n  - kind: three\n", 3, "items.0"),
        ("- 1\n", 1, "Listing"),
    ],
)
def test_a_bad_file_names_line_and_field(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_yaml(path, Listing)
    assert f"{path}:{line}: " in str(caught.value)
    assert said in str(caught.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = "version: 1\nitems:\n  - kind: one\n    size: 0\n  - kind: two\n    name: [x]\n"
    with pytest.raises(InputError) as caught:
        load_yaml(write(tmp_path, text), Listing)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("data", [b"\xff\xfe", None])
def test_an_unreadable_file_is_said_to_be_so(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "absent.yaml" if data is None else write(tmp_path, data)
    with pytest.raises(InputError, match=path.name):
        load_yaml(path, Listing)


def test_a_recipe_section_is_checked_and_unknown_sections_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "sft:\n  kind: one\n  size: 2\n")
    assert load_section(path, "sft", One).size == 2
    with pytest.raises(InputError, match=r":1: traning: no such section"):
        load_section(write(tmp_path, "traning: {}\n"), "sft", One)
    with pytest.raises(InputError, match=r":3: sft.size"):
        load_section(write(tmp_path, "sft:\n  kind: one\n  size: none\n"), "sft", One)
