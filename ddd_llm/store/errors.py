"""The ways in which the store refuses, each a type of its own with a sentence that names the cure."""

from __future__ import annotations


class StoreError(Exception):
    """Base of every refusal of the store."""


class NotFound(StoreError, KeyError):
    """A key, object or record that is not in the store."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "not found"


class Corrupt(StoreError):
    """Stored bytes whose digest is not the one that names them."""


class HeadMoved(StoreError):
    """A head was moved by another run between this run's snapshot and its commit."""


class Unreadable(StoreError):
    """A record that may not be read: no record yet, or a required verdict failed or is missing."""


class Refused(Unreadable):
    """A record that may not be read because a required verdict is bad: waiting or running again does not help."""


class Diamond(StoreError):
    """Inputs that rest on different versions of one common ancestor."""


class LeaseHeld(StoreError):
    """Somebody else is doing this work right now."""
