"""A read ends in exactly one of five ways (P5), judged by an oracle written from the design."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.degrade import End, end_after_derivatives, end_of_original
from resilient_store.protocol.read import Reading
from tests.laws.play import Answer, play, reader

STATES = {
    "holds": Outcome.OK,
    "blank": Outcome.OK,
    "absent": Outcome.NOT_FOUND,
    "lost": Outcome.NOT_FOUND,  # it was there once: nobody can tell
    "hung": Outcome.TIMED_OUT,
    "down": Outcome.UNAVAILABLE,
    "throttled": Outcome.THROTTLED,
    "denied": Outcome.DENIED,
    "corrupt": Outcome.CORRUPT,
}
NAMES = ("a", "b", "c", "d")
GONE = {"absent", "lost"}
BLANKS = {"blank"}

# --- the oracle ---------------------------------------------------------------------------


def expected(original, holds_all, derivatives):
    """Say how a read must end: design, section 4 ("Certain absence", "Never blank") and 8."""
    absent, states = _absent(original, holds_all), set(original.values())
    if "holds" in states:
        return "original"
    if not absent and "blank" in states and "corrupt" not in states and not derivatives:
        return "empty"
    preview = any("holds" in states.values() for states in derivatives)
    some_derivative_unknown = any(
        not _absent(states, holds_all) and set(states.values()) - GONE - BLANKS
        for states in derivatives
    )
    if absent and not preview:
        return "unreachable" if some_derivative_unknown else "not found"
    lost = absent or ("blank" in states and states <= GONE | BLANKS)
    return ("preview, " if preview else "") + ("lost" if lost else "unreachable")


def _absent(states, holds_all):
    sure = any(states[name] in GONE for name in holds_all)
    return "holds" not in states.values() and (sure or set(states.values()) <= GONE)


# --- the subject --------------------------------------------------------------------------


def ended(original, holds_all, derivatives, latencies_s, unhealthy=()):
    """Play a whole read as the library does: the original first, then each derivative."""

    def look(states):
        script = {
            name: [Answer(STATES[state], _latency_s(state, name), blank=state == "blank")]
            for name, state in states.items()
        }
        machine = reader(tuple(states), unhealthy=unhealthy, holds_all=holds_all)
        return play(machine, script).value

    def _latency_s(state, name):
        return 10.0 if state == "hung" else latencies_s[name]

    reading = look(original)
    if reading.found is not None:
        return "original"
    end = end_of_original(reading, has_rule=bool(derivatives))
    if end is End.EMPTY or not derivatives:
        return _word(end)
    looked = []
    for states in derivatives:
        looked.append(look(states))
        if looked[-1].found is not None:
            return f"preview, {_word(end_after_derivatives(end, looked))}"
    return _word(end_after_derivatives(end, looked))


def _word(end):
    return "not found" if end is End.ABSENT else end.value


def truthful(claims, *objects):
    """Return those whose word "I hold everything" is true: nobody has what they lack."""
    return tuple(
        name
        for name in claims
        if not any(states[name] in GONE and "holds" in states.values() for states in objects)
    )


# --- the laws -----------------------------------------------------------------------------

states = st.sampled_from(sorted(STATES))
latency = st.integers(0, 5).map(lambda eighths: eighths / 8)


@st.composite
def reads(draw):
    names = NAMES[: draw(st.integers(1, 4))]
    everywhere = st.fixed_dictionaries(dict.fromkeys(names, states))
    original = draw(everywhere)
    derivatives = draw(st.lists(everywhere, max_size=2))
    some = st.lists(st.sampled_from(names), unique=True)
    holds_all = truthful(draw(some), original, *derivatives)
    latencies_s = draw(st.fixed_dictionaries(dict.fromkeys(names, latency)))
    return original, holds_all, derivatives, latencies_s, tuple(draw(some))


@given(reads())
def test_p5_every_read_ends_in_the_one_way_that_the_design_says(read):
    original, holds_all, derivatives, latencies_s, unhealthy = read
    assert ended(original, holds_all, derivatives, latencies_s, unhealthy) == expected(
        original, holds_all, derivatives
    )


@pytest.mark.parametrize("claim", [(), ("a",), ("b",), ("a", "b")])
def test_p5_every_pair_of_backends_with_and_without_a_rule(claim):
    swift = dict.fromkeys("ab", 0.0)
    for one, two in itertools.product(STATES, repeat=2):
        original = {"a": one, "b": two}
        for derivatives in ([], *([{"a": x, "b": y}] for x in STATES for y in STATES)):
            holds_all = truthful(claim, original, *derivatives)
            said = ended(original, holds_all, derivatives, swift)
            assert said == expected(original, holds_all, derivatives), (original, derivatives)


@given(reads())
def test_p5_the_order_of_answers_does_not_change_the_end(read):
    original, holds_all, derivatives, latencies_s, unhealthy = read
    names = tuple(original)
    ends = {
        ended(original, holds_all, derivatives, dict(zip(names, order, strict=True)), unhealthy)
        for order in itertools.islice(itertools.permutations(latencies_s.values()), 6)
    }
    assert len(ends) == 1


@given(reads())
def test_p5_unreachable_is_never_reported_as_absent(read):
    original, _, derivatives, latencies_s, _ = read
    if ended(original, (), derivatives, latencies_s) == "not found":
        assert set(original.values()) <= GONE


def test_a_404_that_nobody_else_confirms():
    for other in ("hung", "down", "throttled", "denied", "corrupt"):
        original = {"a": "absent", "b": other}
        assert ended(original, (), [], dict.fromkeys("ab", 0.0)) == "unreachable"


def test_a_blank_beside_wrong_bytes_is_not_believed():
    """One backend's answer was cut short, another's is empty: the object is not empty."""
    original = {"a": "corrupt", "b": "blank"}
    assert ended(original, (), [], dict.fromkeys("ab", 0.0)) == "unreachable"


def test_who_claims_to_hold_everything_is_believed_if_nobody_spoke_before():
    lie = {"a": "absent", "b": "holds"}
    assert ended(lie, ("a",), [], dict.fromkeys("ab", 0.0)) == "not found"
    truth = {"b": "holds", "a": "absent"}
    assert ended(truth, ("a",), [], dict.fromkeys("ab", 0.0)) == "original"


# --- each decision by itself --------------------------------------------------------------


def reading_of(*states, absent=False):
    replies = tuple(
        Reply(name, STATES[state], None, "", state == "blank")
        for name, state in zip(NAMES, states, strict=False)
    )
    found = next((reply for reply in replies if reply.ok and not reply.blank), None)
    blank = next((reply for reply in replies if reply.blank), None)
    return Reading(found, blank, absent, replies, ())


@pytest.mark.parametrize("has_rule", [True, False])
def test_absence_comes_first_although_somebody_has_a_blank(has_rule):
    reading = reading_of("absent", "blank", absent=True)
    assert end_of_original(reading, has_rule=has_rule) is End.ABSENT


@pytest.mark.parametrize("original", [End.LOST, End.UNREACHABLE, End.EMPTY])
@pytest.mark.parametrize("derivative", sorted(STATES))
def test_derivatives_decide_only_what_was_absent(original, derivative):
    assert end_after_derivatives(original, [reading_of(derivative)]) is original


def test_no_derivative_looked_at_leaves_it_absent():
    assert end_after_derivatives(End.ABSENT, []) is End.ABSENT


def test_one_derivative_that_exists_outweighs_one_that_cannot_be_asked():
    looked = [reading_of("down"), reading_of("holds")]
    assert end_after_derivatives(End.ABSENT, looked) is End.LOST


def test_an_empty_derivative_is_no_picture_and_no_proof():
    assert end_after_derivatives(End.ABSENT, [reading_of("blank", "absent")]) is End.ABSENT
    assert end_after_derivatives(End.ABSENT, [reading_of("blank", "down")]) is End.UNREACHABLE
