"""The moments between which a change can be cut short, each named once."""

from __future__ import annotations

import enum


class Step(enum.Enum):
    """A moment of a change after which its process may die, and nothing may be lost (P8)."""

    WRITE_BEGUN = "a write's intent is durable"
    WRITE_PLACED = "it names the own keys that were looked at"
    WRITE_SENDING = "a part of a longer object is on its way"
    WRITE_LANDED = "its bytes are on one backend"
    WRITE_ARRIVED = "its bytes are on enough backends"
    WRITE_COMMITTED = "it is the current version"
    WRITE_PUBLISHING = "its staged bytes are at one of their own keys"
    WRITE_PUBLISHED = "its staged bytes are at their own keys"
    WRITE_FINISHED = "its intent has ended, and what was staged is still there"
    DELETE_BEGUN = "a deletion's intent is durable"
    DELETE_BURIED = "the tombstone is durable"
    DELETE_REMOVED = "the bytes are gone where they could be reached"
    DELETE_FINISHED = "its intent has ended, and what counted in staging is still there"
    MOVE_BEGUN = "both intents of a move are durable"
    MOVE_ARRIVED = "the bytes are staged or written at the new path"
    MOVE_COMMITTED = "the object has its new path, and not its old one"
    MOVE_FINISHED = "the new path is done with, and the old one's bytes are still there"
    REPAIR_BEGUN = "a repair's intent is durable"
    REPAIR_STAGED = "a replica's bytes are in staging again"
    REPAIR_NOTED = "they count as a copy"
    REPAIR_PUBLISHED = "they are at their own key"
    REPAIR_COUNTED = "the own key's count, and what was staged is still there"
    REPAIR_TRUSTED = "what lay at a quiet own key counts as a copy"
    REPAIR_REMOVED = "what a deletion left on a backend is gone"
    REPAIR_LOOKED = "every backend was looked at, to forget a deletion"
    REPAIR_PURGED = "it is forgotten"
    REPAIR_FORGOTTEN = "it is forgotten, and the intent has ended"
    EPOCH_CHOSEN = "a higher epoch is to be sent to backends"
    EPOCH_SENT = "they carry it"
    QUARANTINED = "somebody else's bytes are kept aside, and still lie at the own key"
    ADOPT_RECORDED = "objects that lay in backends are known"
    SETTLE_BEGUN = "a dead holder's intent was taken over"
    SETTLE_UNDONE = "what it had written is gone"
    SETTLE_ENDED = "its intent has ended"
