"""Permissions from the files of an installation, and the part of a record's config that says which they were.

Belongs here: reading, and what of it goes into a fingerprint. Does not belong here: judging (`permissions`).

Into the config go the sources, the policy, the day `as_of`, how many consents are in which state on it, and digests. The
day is not today but the last one on which a consent or an approval changed state, so that documents become stale exactly
when a grant, an expiry or a withdrawal takes effect, and not every night. Subjects and scopes of consents may be personal
data, and a record cannot be erased: a keyed digest stands for the register.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ddd_llm.corpus.capture import sources_of
from ddd_llm.corpus.identity import keyed_digest, load_key
from ddd_llm.corpus.policies import rights_policy
from ddd_llm.corpus.readers.strict_json import BadRecord, loads
from ddd_llm.corpus.rights.addresses import OptOutList
from ddd_llm.corpus.rights.consents import Consent, ConsentRegister, State, last_change
from ddd_llm.corpus.rights.opt_out import OptOuts
from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.rights.policy import RightsPolicy
from ddd_llm.corpus.sources import Governed
from ddd_llm.platform.inputs import InputError, load_yaml
from ddd_llm.platform.settings import Settings
from ddd_llm.store.canonical import digest

Config = dict[str, Any]


@dataclass(frozen=True)
class _Files:
    sources: list[Governed]
    policy: RightsPolicy
    register: ConsentRegister
    robots: dict[str, list[str | None]]
    lists: dict[str, str]


def rights_config(settings: Settings, today: date | None = None, sources: Sequence[Governed] | None = None) -> Config:
    """What a record says of the rights it was made under.

    Args:
        today: day in UTC, default that of the clock.
        sources: whose rights, default all of the sources file.

    Raises:
        InputError: a file that does not say what it must, or a list or register that is not there.
    """
    files = _read(settings, sources)
    return _config(settings, files, _as_of(files, today))


def permissions_now(
    settings: Settings, today: date | None = None, sources: Sequence[Governed] | None = None
) -> Permissions:
    """The permissions as they stand, where no record is made of them. Arguments and errors as `rights_config`."""
    files = _read(settings, sources)
    return _permissions(files, _as_of(files, today))


def permissions_of(
    settings: Settings, config: Mapping[str, Any], sources: Sequence[Governed] | None = None
) -> Permissions:
    """The permissions that a config (`rights_config`, of the same sources) stands for.

    Raises:
        InputError: as `rights_config`, or a file that has changed since the config was made.
    """
    files = _read(settings, sources)
    as_of = date.fromisoformat(config["as_of"]) if config["as_of"] else None
    now = _config(settings, files, as_of)
    changed = sorted(name for name, value in now.items() if config.get(name) != value)
    if changed:
        raise InputError(f"{', '.join(changed)}: changed while the run began; run again")
    return _permissions(files, as_of)


def _as_of(files: _Files, today: date | None) -> date | None:
    consents, approvals = files.register.consents, files.policy.licences.approvals
    days = [day for one in (*consents, *approvals) for day in one.days()]
    return last_change(days, today or datetime.now(UTC).date())


def _permissions(files: _Files, as_of: date | None) -> Permissions:
    lists = {name: _list(name, text) for name, text in files.lists.items()}
    outs = OptOuts(files.policy.opt_out.user_agents, lists, files.robots, files.sources)
    return Permissions(files.sources, files.policy, files.register, as_of, outs)


def _read(settings: Settings, chosen: Sequence[Governed] | None) -> _Files:
    policy = rights_policy(settings)
    sources = list(sources_of(settings) if chosen is None else chosen)
    folder = settings.assets / "policies"
    home = settings.sources.resolve().parent
    return _Files(
        sources,
        policy,
        read_register(folder / Path(policy.consents).expanduser()),
        {
            source.name: [
                file.text if file.path is None else _robots(home / Path(file.path).expanduser())
                for file in source.robots
            ]
            for source in sources
            if source.robots
        },
        {name: _text(folder / Path(name).expanduser()) for name in policy.opt_out.lists},
    )


def _config(settings: Settings, files: _Files, as_of: date | None) -> Config:
    consents = sorted(files.register.consents, key=lambda consent: consent.id)
    counts = Counter(consent.state(as_of).value for consent in consents)
    told = json.dumps([_told(consent, as_of) for consent in consents], sort_keys=True)
    return {
        "sources": [source.model_dump(mode="json") for source in files.sources],
        "rights": files.policy.model_dump(mode="json"),
        "as_of": as_of.isoformat() if as_of else None,
        "consents": {**counts, "digest": keyed_digest(load_key(settings.keys, "id"), "consents", told)[:32]},
        "robots": {
            name: [None if t is None else digest(t.encode()) for t in texts] for name, texts in files.robots.items()
        },
        "opt_out_lists": {name: digest(text.encode()) for name, text in files.lists.items()},
    }


def _told(consent: Consent, as_of: date | None) -> dict[str, Any]:
    """What of an entry the judgement on this day rests on: nothing that is still to come."""
    state = consent.state(as_of)
    left_out = {"evidence"}
    left_out |= set() if state is State.EXPIRED else {"expires_on"}
    left_out |= set() if state is State.WITHDRAWN else {"withdrawn_on"}
    return consent.model_dump(mode="json", exclude=left_out) | {"state": state.value}


def read_register(path: Path) -> ConsentRegister:
    """The consent register in a YAML file, or with the suffix `.jsonl` one entry a line.

    Raises:
        InputError: with file and line.
    """
    if path.suffix.lower() != ".jsonl":
        return load_yaml(path, ConsentRegister)
    found: dict[str, Consent] = {}
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            consent = Consent.model_validate(loads(line.encode(), depth=8))
        except BadRecord as error:
            raise InputError(f"{path}:{number}: {error.detail}") from None
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
            raise InputError(f"{path}:{number}: {said}") from None
        if consent.id in found:
            raise InputError(f"{path}:{number}: id: two entries share the id {consent.id}")
        found[consent.id] = consent
    return ConsentRegister(version=1, consents=tuple(found.values()))


def _robots(path: Path) -> str | None:
    """The text, whatever bytes are in it (RFC 9309 wants UTF-8; what is not is replaced); None when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None


def _list(name: str, text: str) -> OptOutList:
    try:
        return OptOutList(text)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
