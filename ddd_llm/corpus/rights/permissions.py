"""The judgement: whether a document of a source may be learned from, and the first reason why not.

Belongs here: the order of the questions, and putting the answers of the modules beside this one together. Does not belong
here: reading files (`load`) and tables (`governance`). It fails closed: what is not known to be allowed is held back.

What depends on the document: the ground of the source and of the entries under `documents` that speak of it. Each ground
that is consent, or that carries personal data without a recorded ground for that, needs a live consent; a withdrawal
holds a document back whatever it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cached_property

from ddd_llm.corpus.rights.consents import Consent, ConsentRegister, Purpose, missing_consent, withdrawal
from ddd_llm.corpus.rights.derivation import Known, missing, record_of
from ddd_llm.corpus.rights.licences import Decision, Verdict
from ddd_llm.corpus.rights.opt_out import OPTED_OUT, Against, OptOuts
from ddd_llm.corpus.rights.policy import RightsPolicy
from ddd_llm.corpus.rights.records import FOR_PERSONAL_DATA, DocumentRights, LegalBasis
from ddd_llm.corpus.rights.scopes import Scopes
from ddd_llm.corpus.sources import Governed

UNKNOWN_SOURCE = "unknown_source"

CURES = {
    UNKNOWN_SOURCE: "name the source in the sources file again, or let the next ingest remove its documents",
    "no_licence": "find the licence, with evidence, or leave the source out",
    "no_licence_evidence": "name the file, address or metadata field that proves the licence (licence_evidence)",
    "licence_denied": "leave the source out, or obtain another licence for it",
    "licence_in_review": "record an approval with evidence in assets/policies/rights.yaml, or put the licence on a list there",
    "no_legal_basis": "ask the source's owner for a legal basis, or leave the source out",
    "no_training_purpose": "obtain a ground that covers training, or leave the source out",
    "provenance_incomplete": "state the missing fields under provenance: in the source's record",
    "no_lawful_basis_evidence": "name the contract or balancing test (legal_basis_evidence), or obtain consents",
    "no_consent": "obtain consent and record it in the consent register, or leave the documents out",
    "consent_withdrawn": "leave the documents out; only a consent given after the withdrawal lets them in again",
    "consent_expired": "renew the consent and record it, or leave the documents out",
    "consent_not_yet_given": "wait for the day from which the consent counts",
    "consent_not_for_training": "ask for consent to training, or leave the documents out",
    OPTED_OUT: "leave the documents out, or agree with their owner and record that",
    "address_unknown": "mend the address, or give the source a url_prefix, so that opt-outs can be asked",
    "robots_unknown": "keep the robots.txt of that site with the source (an empty text where the site has none)",
}
"""What lets documents in that are held back, by reason."""


class Permissions:
    """Sources, policy and register as they stand on one day.

    Args:
        as_of: the day on which consents and approvals are looked at; None is before any of them began.
    """

    def __init__(
        self,
        sources: Iterable[Governed],
        policy: RightsPolicy,
        register: ConsentRegister,
        as_of: date | None,
        opt_outs: OptOuts,
    ) -> None:
        self.sources = {source.name: source for source in sources}
        self.policy = policy
        self.register = register
        self.as_of = as_of
        self._opt_outs = opt_outs
        over: dict[str, list[tuple[str, int]]] = {}
        for number, consent in enumerate(register.consents):
            for name in dict.fromkeys(consent.sources):
                over.setdefault(name, []).extend((glob, number) for glob in consent.locators)
        self._consents = {name: Scopes(pairs) for name, pairs in over.items()}
        self._entries = {
            name: Scopes([(glob, index) for index, entry in enumerate(s.documents) for glob in entry.locators])
            for name, s in self.sources.items()
        }
        self._of_source = {name: self._against_source(source) for name, source in self.sources.items()}
        self._records: dict[tuple[str, tuple[int, ...]], dict[str, Known]] = {}

    @cached_property
    def licences(self) -> dict[str, Decision]:
        """The decision on each source's licence; none for a source without one."""
        return {
            name: self.policy.licences.decide(source.licence, name, self.as_of)
            for name, source in self.sources.items()
            if source.licence is not None
        }

    def objection(self, source: str, locator: str) -> Against | None:
        """(reason, sentence) why a document may not be used for training, None when it may."""
        record = self.sources.get(source)
        if record is None:
            return UNKNOWN_SOURCE, "the sources file has no such source any more"
        against = self._of_source[source]
        if against is not None:
            return against
        numbers = self._entries[source].of(locator)
        entries = [record.documents[number] for number in numbers]
        lacking = self.lacking(self.provenance(source, numbers))
        if lacking:
            return "provenance_incomplete", f"the provenance record lacks {', '.join(lacking)}"
        covering = self.consents_over(source, locator)
        return (
            self._against_ground(record, entries, covering)
            or self._against_withdrawal(covering)
            or self._opt_outs.against(record, locator, any(e.tdm_reservation for e in (record, *entries)))
        )

    def consents_over(self, source: str, locator: str) -> tuple[Consent, ...]:
        """Entries of the register that speak of a document."""
        scopes = self._consents.get(source)
        return tuple(self.register.consents[number] for number in scopes.of(locator)) if scopes else ()

    def provenance(self, source: str, entries: tuple[int, ...] = ()) -> dict[str, Known]:
        """The provenance record of a source's documents to which these of its `documents` entries apply."""
        key = (source, entries)
        if key not in self._records:
            record = self.sources[source]
            stated = record.provenance
            for number in entries:
                own = record.documents[number].provenance
                stated = own.over(stated) if own is not None else stated
            self._records[key] = record_of(record, stated)
        return self._records[key]

    def lacking(self, record: dict[str, Known]) -> list[str]:
        """Mandatory fields that a provenance record leaves open."""
        return missing(record, self.policy.provenance.mandatory)

    def records(self) -> dict[tuple[str, tuple[int, ...]], dict[str, Known]]:
        """The provenance records that were asked for so far, by source and entries."""
        return dict(self._records)

    def _against_source(self, source: Governed) -> Against | None:
        if source.licence is None:
            return "no_licence", "the source names no licence"
        if source.licence_evidence is None:
            return "no_licence_evidence", "the source says nothing that proves its licence"
        decision = self.licences[source.name]
        if decision.verdict is Verdict.DENIED:
            return "licence_denied", f"the rights policy denies {', '.join(decision.open)}"
        if decision.verdict is not Verdict.ALLOWED:
            return (
                "licence_in_review",
                f"the rights policy does not allow {', '.join(decision.open)}, and nobody approved it",
            )
        if source.legal_basis is None:
            return "no_legal_basis", "the source names no legal basis"
        if Purpose.TRAINING not in source.purpose:
            return "no_training_purpose", "the legal basis of the source does not cover training"
        return None

    def _against_ground(
        self, source: Governed, entries: Sequence[DocumentRights], covering: Sequence[Consent]
    ) -> Against | None:
        grounds = [(source.legal_basis, source.legal_basis_evidence, _personal(source))]
        for entry in entries:
            if entry.legal_basis is None:
                evidence = entry.legal_basis_evidence or source.legal_basis_evidence
                grounds.append((source.legal_basis, evidence, _personal(entry)))
            else:
                grounds.append((entry.legal_basis, entry.legal_basis_evidence, _personal(entry)))
        for basis, evidence, personal_data in grounds:
            if basis is LegalBasis.CONSENT or (personal_data and basis not in FOR_PERSONAL_DATA):
                against = missing_consent(covering, self.as_of)
            elif personal_data and evidence is None and missing_consent(covering, self.as_of) is not None:
                against = "no_lawful_basis_evidence", f"personal data rest on {basis}, and nothing shows that they may"
            else:
                against = None
            if against is not None:
                return against
        return None

    def _against_withdrawal(self, covering: Sequence[Consent]) -> Against | None:
        withdrawn = withdrawal(covering, self.as_of)
        if withdrawn is None:
            return None
        return "consent_withdrawn", f"consent {withdrawn.id} was withdrawn on {withdrawn.withdrawn_on}"


def _personal(one: Governed | DocumentRights) -> bool:
    """Whether a record says, or its provenance implies, that the documents are about identifiable people."""
    return one.personal_data is True or (one.provenance is not None and one.provenance.names_personal_data)
