"""Days of a fleet that once broke a promise, each made as small as it could be."""

from __future__ import annotations

from tests.model.fleet.plan import LARGE_BYTES, Lying, Plan, Step, Trouble, Worker


def _day(
    *steps: Step,
    troubles: tuple[Trouble, ...] = (),
    lying: tuple[Lying, ...] = (),
    seed: int = 1,
    min_copies: int = 2,
    added: str = "",
) -> Plan:
    """Return the day of one process and three backends."""
    return Plan(
        seed=seed,
        workload="once failed",
        paths=("p0", "p1"),
        backends=("a", "b", "c"),
        min_copies=min_copies,
        conditions=True,
        workers=(Worker("w0", steps),),
        troubles=troubles,
        lying=lying,
        added=added,
    )


ONCE_FAILED: dict[str, Plan] = {
    "a bit flipped in one backend's identity, and no write was possible any more": _day(
        Step("write", "p0", text="<1>"),
        *(Step("write", "p0", text=f"<{number}>", wait_s=70.0) for number in range(2, 6)),
        troubles=(Trouble("cut", 50.0, 300.0, ("b",), "store.json"),),
    ),
    "what came cut short, and had no checksum yet, could never be read again": _day(
        Step("exists", "p0"),
        Step("read", "p0", wait_s=3.0),
        Step("read", "p0", wait_s=30.0),
        troubles=(Trouble("cut", 2.0, 20.0, ("a",), "p0"),),
        lying=(Lying("p0", b"<old>", ("a",)),),
        seed=8,
    ),
    "a listing left out what no catalog knew, for a write over it had failed": _day(
        Step("write", "p0", text="<1>", wait_s=10.0),
        Step("find", wait_s=30.0),
        troubles=(Trouble("full", 5.0, 20.0, ("b", "c")),),
        lying=(Lying("p0", b"<old>", ("a",)),),
    ),
    "the last copy lay in staging where nobody had confirmed it, and was not looked for": _day(
        Step("write", "p0", text="<1>"),
        Step("write", "p0", text="<2>", wait_s=10.0),
        Step("read", "p0", wait_s=50.0),
        troubles=(
            Trouble("unknown", 5.0, 30.0, ("a", "c"), verbs=("put",)),
            Trouble("wipe", 40.0, 40.0, ("b",), "p0"),
        ),
        min_copies=1,
    ),
    "an incomplete catalog did not list an object by its own path": _day(
        Step("ls", "p0", wait_s=1.0),
        Step("write", "p1", text="<1>"),
        Step("ls", "p1"),
        lying=(Lying("p0", b"<old>", ("b",)),),
    ),
    "a write waited twice for a backend that hung: to publish, and then to clean up": _day(
        Step("write", "p0", text="<1>", wait_s=40.0),
        Step("write", "p0", text="<2>"),
        Step("write", "p0", text="<3>", wait_s=1.5),
        troubles=(Trouble("hang", 6.0, 120.0, ("a",), verbs=("publish", "delete")),),
    ),
    "the first write of a process waited for all that one backend may take to be met": _day(
        Step("write", "p0", text="<1>", wait_s=15.0),
        troubles=(Trouble("hang", 6.0, 120.0, ("b",), verbs=("get",)),),
    ),
    "a write waited for a backend that hung when it alone had staged, and was to publish": _day(
        Step("write", "p1", text="<1>"),
        Step("write", "p0", text="<2>", wait_s=40.0),
        troubles=(
            Trouble("foreign", 34.7, 34.7, ("c",), "p0"),
            Trouble("hang", 38.0, 158.0, ("c",), verbs=("info", "list")),
        ),
    ),
    "and for one that answered the look, and not the publication": _day(
        Step("write", "p1", text="<1>"),
        Step("write", "p0", text="<2>", wait_s=40.0),
        troubles=(
            Trouble("foreign", 34.7, 34.7, ("c",), "p0"),
            Trouble("hang", 38.0, 158.0, ("c",), verbs=("publish", "delete")),
        ),
    ),
    "and for one that did not hand out what it had to put aside": _day(
        Step("write", "p1", text="<1>"),
        Step("write", "p0", text="<2>", wait_s=40.0),
        troubles=(
            Trouble("foreign", 34.7, 34.7, ("c",), "p0"),
            Trouble("hang", 38.0, 158.0, ("c",), verbs=("get",)),
        ),
    ),
    "a write waited three times for a backend that was new, and hung when it was to be met": _day(
        Step("open", "p0"),
        Step("write", "p0", text="<4>", wait_s=1.7, size=LARGE_BYTES),
        troubles=(Trouble("hang", 1.6, 121.6, ("c",), verbs=("info", "list")),),
        added="c",
    ),
    "a write waited for a time-out when one backend did not say what lay at a new path": _day(
        Step("write", "p0", text="<1>"),
        Step("write", "p1", text="<2>", wait_s=40.0),
        troubles=(Trouble("hang", 30.0, 150.0, ("a",), verbs=("info", "list")),),
        lying=(Lying("p0", b"<old>", ("a",)),),
    ),
}
