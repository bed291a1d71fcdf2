"""Presidio is slow to import: once, before any test is timed."""

from __future__ import annotations

import pytest

from ddd_llm.corpus.privacy.detect import Detector
from ddd_llm.corpus.privacy.policy import PrivacyPolicy


@pytest.fixture(scope="session", autouse=True)
def _presidio_is_loaded() -> None:
    Detector(PrivacyPolicy()).find("passport 912803456")
