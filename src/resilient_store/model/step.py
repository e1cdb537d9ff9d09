"""The moments between which a change can be cut short, each named once."""

from __future__ import annotations

import enum


class Step(enum.Enum):
    """A moment of a change after which its process may die, and nothing may be lost (P8)."""

    WRITE_BEGUN = "a write's intent is durable"
    WRITE_ARRIVED = "its bytes are on enough backends"
    WRITE_COMMITTED = "it is the current version"
    WRITE_PUBLISHED = "its staged bytes are at their own keys"
    DELETE_BURIED = "the tombstone is durable"
    DELETE_REMOVED = "the bytes are gone where they could be reached"
    MOVE_BEGUN = "both intents of a move are durable"
    MOVE_ARRIVED = "the bytes are staged or written at the new path"
    MOVE_COMMITTED = "the object has its new path, and not its old one"
    REPAIR_BEGUN = "a repair's intent is durable"
    REPAIR_STAGED = "a replica's bytes are in staging again"
    REPAIR_NOTED = "they count as a copy"
    REPAIR_PUBLISHED = "they are at their own key"
    SETTLE_BEGUN = "a dead holder's intent was taken over"
