"""Bugs that somebody could have written, each a diff in `bugs/`, and who finds it."""

from __future__ import annotations

import attrs


@attrs.frozen
class Bug:
    """One planted bug.

    Attributes
    ----------
    name
        Its diff is ``bugs/<name>.diff``.
    promise
        Which one it breaks.
    what
        What somebody forgot, or thought.
    hunter
        Which simulation finds it: ``scenario:<name>`` of the model, ``calls`` (three calls and
        one fault), ``stateless`` (whole stores without a catalog), or ``machine:<kind>``
        (Hypothesis's state machine on one of `hunters.MACHINES`).
    within
        How many seeds that may take; of a machine, examples.
    """

    name: str
    promise: str
    what: str
    hunter: str
    within: int


# Rules of the protocol, each left out: `tests/model/planted.py` leaves out the same ones, and more.
_RULES = (
    Bug(
        "fence",
        "P1",
        "who settles a dead holder's intent does not make it another one",
        "scenario:overwrite-crash",
        2000,
    ),
    Bug(
        "takeover",
        "P1",
        "keys are not marked again where an intent is taken over",
        "scenario:create-crash-same",
        2000,
    ),
    Bug(
        "lock",
        "P1",
        "repair looks whether anybody is at work, and keeps nobody out itself",
        "scenario:replay-create",
        300,
    ),
    Bug(
        "leasecheck",
        "P1",
        "a holder sends whether its lease lasts or not",
        "scenario:delete-create",
        3000,
    ),
    Bug(
        "quiet",
        "P1",
        "the late window is taken from a mark that has it already",
        "scenario:create-zombie",
        200,
    ),
    Bug("void", "P3", "a creation that failed leaves no void", "scenario:create-zombie", 200),
    Bug(
        "relook",
        "P1",
        "what was once seen to be gone is not looked at before the purge",
        "scenario:purge-adopt",
        300,
    ),
    Bug(
        "lookorder",
        "P1",
        "keys need to be quiet when the purge is recorded, not when the look began",
        "scenario:purge-slow",
        2000,
    ),
    Bug(
        "account",
        "P9",
        "what lies at an own key is ours if anything ever was",
        "scenario:foreign",
        100,
    ),
    Bug(
        "discover",
        "P3",
        "what is found is recorded whoever is at work there",
        "scenario:dirty-read",
        100,
    ),
    Bug(
        "lookup",
        "P5",
        "a backend that could not be looked at counts as empty",
        "scenario:undiscovered",
        1500,
    ),
    Bug(
        "counter",
        "P1",
        "versions are counted per path, and begin anew after a purge",
        "scenario:version-reuse",
        5000,
    ),
    Bug(
        "commitcheck",
        "P1",
        "a commit whose answer was lost is taken for one that failed",
        "scenario:commit-unknown",
        200,
    ),
    Bug(
        "reread",
        "P5",
        "lost is said without looking the entry up again",
        "scenario:read-window",
        200,
    ),
    Bug(
        "cas",
        "P1",
        "what a reader saw is recorded whatever the row says by now",
        "scenario:read-window",
        200,
    ),
    Bug(
        "sweep",
        "P7",
        "the catalog is asked who lives before staging is listed",
        "scenario:repair-write",
        500,
    ),
    Bug(
        "epoch", "P1", "nobody looks how old a backend's identity is", "scenario:back-in-time", 100
    ),
)

_ACKNOWLEDGED = (
    Bug(
        "mark_taken_back",
        "P1",
        "a repair calls a key quiet to which it has just sent a copy",
        "scenario:catch-up",
        100,
    ),
    Bug(
        "copies_not_platforms",
        "P1",
        "min_domains is held against the number of copies",
        "machine:together",
        1000,
    ),
    Bug(
        "unknown_is_done",
        "P1",
        "a change that timed out counts as one that was made",
        "scenario:loss-create",
        100,
    ),
    Bug(
        "overwrite_in_place",
        "P1",
        "an overwrite goes to the own keys before it is committed",
        "scenario:overwrite",
        100,
    ),
    Bug(
        "update_keeps_the_place",
        "P1",
        "the UPDATE of an upsert leaves out the columns that may be null",
        "scenario:overwrite",
        100,
    ),
    Bug(
        "tokens_of_replicas_only",
        "P1",
        "the sweep asks after replicas, and not after open intents",
        "scenario:mix",
        3000,
    ),
    Bug(
        "remembered_lookup",
        "P2",
        "what was looked up is believed for a second",
        "machine:catalog",
        1000,
    ),
    Bug(
        "no_tombstone",
        "P3",
        "a deletion that every backend has carried out is forgotten at once",
        "scenario:delete-create",
        1500,
    ),
    Bug(
        "listing_shows_tombstones",
        "P3",
        "a listing lacks the condition that the entry is an object",
        "machine:catalog",
        1000,
    ),
    Bug(
        "stateless_delete_of_some",
        "P3",
        "a deletion goes on where one backend of several has answered",
        "stateless",
        400,
    ),
)

_READ = (
    Bug("ranges_unverified", "P4", "only whole objects are verified", "calls", 1500),
    Bug(
        "short_body_believed",
        "P4",
        "nobody compares a body's length with what was stated",
        "stateless",
        100,
    ),
    Bug(
        "copy_unverified",
        "P4",
        "repair copies from the next backend, and verifies nothing",
        "scenario:repair-write",
        500,
    ),
    Bug(
        "pinned_to_nothing",
        "P4",
        "an open file goes on when the object has another tag",
        "stateless",
        600,
    ),
    Bug(
        "outage_is_absence",
        "P5",
        "one backend that says 'not found' speaks for those that are away",
        "stateless",
        100,
    ),
    Bug(
        "unflagged",
        "P5",
        "a derivative's result is made without its reason",
        "machine:placed",
        1000,
    ),
    Bug("blank_believed", "P5", "an empty body is an answer like any other", "stateless", 300),
    Bug(
        "unreachable_is_lost",
        "P5",
        "one replica that is known lost is enough to say so of all",
        "machine:catalog",
        1000,
    ),
)

_BOUNDED = (
    Bug("no_deadline", "P6", "a call waits for as long as the backend takes", "stateless", 50),
    Bug(
        "place_not_counted",
        "P6",
        "a call that fails does not give its place back",
        "stateless",
        50,
    ),
    Bug(
        "timed_out_goes_on",
        "P6",
        "a call that is out of time is not cancelled",
        "stateless",
        50,
    ),
    Bug(
        "everything_at_once",
        "P6",
        "an operation begins with all objects at once, however many it is to work on",
        "fleet",
        200,
    ),
    Bug(
        "places_by_default",
        "P6",
        "a backend has 32 places, whatever its max_concurrency says",
        "fleet",
        600,
    ),
    Bug(
        "losers_go_on",
        "P6",
        "who lost is cancelled only where the caller was",
        "stateless",
        200,
    ),
)

_REPAIRED = (
    Bug(
        "unknown_owes_nothing",
        "P7",
        "a replica of which nothing is known is no work for repair",
        "scenario:wide-create",
        300,
    ),
    Bug(
        "staged_owes_nothing",
        "P7",
        "a good copy in staging is no work for repair",
        "scenario:overwrite",
        100,
    ),
    Bug(
        "tokens_of_intents_only",
        "P7",
        "the sweep asks after open intents, and not after replicas",
        "scenario:repair-write",
        100,
    ),
    Bug(
        "queue_without_intents",
        "P8",
        "the queue's query leaves out the paths of intents",
        "scenario:wide-create",
        200,
    ),
    Bug(
        "settle_undoes_the_committed",
        "P8",
        "whoever settles a write undoes it, committed or not",
        "scenario:mix",
        300,
    ),
    Bug(
        "settle_by_bytes",
        "P8",
        "whoever settles a write looks whether its bytes lie there, and not what the catalog says",
        "scenario:wide-create",
        300,
    ),
    Bug(
        "dead_keep_the_lock",
        "P8",
        "the lease of a change that was committed never ends",
        "scenario:mix",
        100,
    ),
    Bug(
        "settle_leaves_the_intent",
        "P8",
        "undoing an overwrite does not end its intent",
        "scenario:mix",
        100,
    ),
    Bug(
        "freeze_is_not_asked",
        "P8",
        "a freeze stops repair, and nobody else",
        "fleet",
        300,
    ),
    Bug(
        "read_ahead_of_another",
        "P4",
        "what was read ahead is cut as if it began where was asked",
        "fleet",
        300,
    ),
    Bug(
        "first_chunk_verified",
        "P4",
        "of several chunks that come together only the first is verified",
        "fleet",
        1500,
    ),
    Bug(
        "without_skips_the_last",
        "P7",
        "who asks what a new backend lacks is not told the last path of a stretch",
        "fleet",
        800,
    ),
    Bug(
        "stale_flag_reversed",
        "P5",
        "a derivative is called stale where it is not, and the other way round",
        "fleet",
        500,
    ),
    Bug(
        "first_page_skips",
        "P5",
        "a page begins after the path that it is asked for",
        "fleet",
        500,
    ),
    Bug(
        "everybody_is_waited_for",
        "P6",
        "enough copies, and a write waits for a backend that hangs",
        "fleet",
        300,
    ),
    Bug("hedge_waits", "P6", "a read waits for a backend that is slow", "fleet", 600),
    Bug(
        "cancelled_write_is_left",
        "P6",
        "who cancels a write in the middle of its commit leaves the intent to its lease",
        "fleet",
        300,
    ),
    Bug(
        "cancelled_begin_keeps_the_intent",
        "P6",
        "who is cancelled while the answer that a change has begun travels back leaves its intent",
        "fleet",
        1500,
    ),
    Bug(
        "cancelled_repair_keeps_the_intent",
        "P6",
        "who cancels a repair leaves the path to its lease",
        "fleet",
        2000,
    ),
    Bug(
        "unprotected_clean_up",
        "P8",
        "a clean-up ends where its caller is cancelled",
        "stateless",
        600,
    ),
)

BUGS = (*_RULES, *_ACKNOWLEDGED, *_READ, *_BOUNDED, *_REPAIRED)


def named(name: str) -> Bug:
    """Return a bug by its name."""
    return next(bug for bug in BUGS if bug.name == name)
