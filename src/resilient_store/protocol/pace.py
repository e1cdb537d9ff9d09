"""How fast the work of operations may ask one platform: as fast as it takes without complaint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

SHORTEST_S, LONGEST_S = 0.25, 1.0  # so long is listened before the rate changes,
ENOUGH = 50  # and no longer than it takes to hear so many answers,
AT_FIRST = 10  # or so few, to learn what a piece of work costs
FIRST = 100.0  # requests a second, before anything was heard,
GENTLY = 16.0  # and so many where callers read in the same process
COSTLY = 4.0  # requests that a piece may need, where nothing must be exceeded
LEAST = 4.0  # below it nothing would ever be finished
TOLERATED = 0.02  # of a window's requests refused: chance, or somebody else's fault
SLOWER = 0.7
SLOWEST = 0.25  # of the rate, where all of it was refused
BURST_S = 0.5  # who did nothing may do so much of it at once
FASTER = 0.05  # of the rate, added in each window without complaint
USED = 0.7  # of the rate; who does less learns nothing of what more would do
OVERLOADED = 2.0  # times as slow as in the best window: others wait because of us
PROMPT_S = 0.1  # where answers come sooner nobody is made to wait for long
LEARNT = 0.2  # how much of a new window's average counts
FEW_READS = 10  # in a window: their median says nothing
DISTURBED = 1.2  # times as long as usual: callers' reads wait because of us
CHANCE = 4.0  # about as many standard errors of a median: the usual is the least that was seen
FORGOTTEN = 0.1  # of what is usual, in each window at the lowest rate: that is not our doing


@attrs.frozen
class Reads:
    """What callers have read from one backend, work of operations left out.

    Attributes
    ----------
    count
        How many reads, since the process began.
    median_s
        How long the latest took; None before the first.
    noise
        How many times as long the median may be by chance, where nothing has changed.
    """

    count: int = 0
    median_s: float | None = None
    noise: float = 1.0


def reads_of(count: int, latest_s: Sequence[float]) -> Reads:
    """Say what callers have read, by how long the latest took.

    Notes
    -----
    Source: the standard error of a median is about 1.25 deviations by the root of the number, and
    a normal distribution's quartiles lie 1.35 deviations apart; here of the logarithms.
    """
    if not latest_s:
        return Reads(count)
    ordered = sorted(latest_s)
    lower_s, upper_s = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    spread = upper_s / lower_s if lower_s > 0 else 1.0
    noise = spread ** (CHANCE / math.sqrt(len(ordered)))
    return Reads(count, ordered[len(ordered) // 2], noise)


@attrs.frozen
class Heard:
    """Totals of one platform's answers since the process began, and how long they take now.

    Attributes
    ----------
    reads
        Backend to what callers read there, on whatever platform: a process that is busy with
        our work makes all of them wait.
    """

    asked: int = 0
    throttled: int = 0
    median_s: float | None = None
    reads: Mapping[str, Reads] = attrs.field(factory=dict)


@attrs.define
class Pace:
    """A rate that rises while a platform answers, and falls when it says that it is too much.

    The rate is doubled until the first complaint, then raised by little and lowered by much
    (additive increase, multiplicative decrease). Answers that become slow are a complaint, too:
    then it is others' calls that wait; and so are callers' reads in this process that take longer
    than they did before.

    Parameters
    ----------
    most
        Requests a second that are never exceeded.
    bytes_per_s
        Bytes a second that are never exceeded.

    Attributes
    ----------
    rate
        Requests a second that are allowed now.
    cost
        Requests that a piece of work was seen to need; a guess before the first was seen.

    Notes
    -----
    Promises: P6. Source: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease
    Algorithms for Congestion Avoidance in Computer Networks", Computer Networks and ISDN
    Systems 17(1), 1989; slow start and one decrease per round trip as in RFC 5681.
    """

    most: float = math.inf
    bytes_per_s: float = math.inf
    rate: float = attrs.field(init=False)
    cost: float = attrs.field(init=False)
    _free_at_s: float = attrs.field(default=-math.inf, init=False)
    _since_s: float | None = attrs.field(default=None, init=False)
    _before: Heard = attrs.field(factory=Heard, init=False)
    _pieces: int = attrs.field(default=0, init=False)
    _has_learnt: bool = attrs.field(default=False, init=False)
    _complained: bool = attrs.field(default=False, init=False)
    _best_s: float = attrs.field(default=math.inf, init=False)
    _usual_s: dict[str, float] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.rate = min(FIRST, self.most)
        # A limit is kept from the first piece on; else no more is waited for than is known.
        self.cost = COSTLY if self.most < math.inf else 1.0

    def begin(self, now_s: float, size: int) -> float:
        """Reserve the time of one piece of work that moves so many bytes; return when it begins."""
        free_at_s = max(now_s - BURST_S, self._free_at_s)
        self._free_at_s = free_at_s + max(self.cost / self.rate, size / self.bytes_per_s)
        self._pieces += 1
        return max(now_s, free_at_s)

    def listens(self, now_s: float) -> bool:
        """Say whether it may change its rate now, by what was heard."""
        return self._since_s is None or now_s - self._since_s >= SHORTEST_S

    def hear(self, now_s: float, heard: Heard) -> None:
        """Listen to what the platform answered; once in a while, change the rate by it."""
        if self._since_s is None:
            self._since_s, self._before = now_s, heard
            if any(one.count >= FEW_READS for one in heard.reads.values()):
                self.rate, self.cost = min(GENTLY, self.most), COSTLY
        took_s = now_s - self._since_s
        asked = heard.asked - self._before.asked
        enough, learnt = (ENOUGH, LEARNT) if self._has_learnt else (AT_FIRST, 1.0)
        if took_s < (SHORTEST_S if asked >= enough else LONGEST_S):
            return
        refused = heard.throttled - self._before.throttled
        allowed = self._pieces * self.cost
        if self._pieces:
            self.cost += learnt * (max(1.0, asked / self._pieces) - self.cost)
            self._has_learnt = True
        disturbed = self._disturbed(heard.reads)
        self._since_s, self._before, self._pieces = now_s, heard, 0
        is_slow = self._is_slow(heard.median_s) or disturbed > DISTURBED
        if refused > TOLERATED * asked or is_slow:
            self._complained = True
            kept = min(1 - refused / asked if asked else 1.0, 1 / disturbed)
            self.rate *= min(SLOWER, max(SLOWEST, kept))
            self.rate = max(self.rate, self._least)
            self._free_at_s = max(self._free_at_s, now_s)
        elif allowed >= USED * self.rate * took_s:
            more = self.rate * FASTER + 1.0 if self._complained else self.rate
            self.rate = min(self.most, self.rate + more)

    @property
    def _least(self) -> float:
        return min(LEAST, self.most)

    def _disturbed(self, reads: Mapping[str, Reads]) -> float:
        """Return how many times as long as usual callers' reads took, at the worst backend."""
        worst = 1.0
        for name, now in reads.items():
            before = self._before.reads.get(name, Reads())
            if now.median_s is None or now.count - before.count < FEW_READS:
                continue
            usual_s = self._usual_s.get(name, before.median_s or now.median_s)
            expected_s = usual_s * now.noise
            worst = max(worst, now.median_s / expected_s if expected_s else 1.0)
            later_s = usual_s * (1 + FORGOTTEN) if self.rate <= self._least else usual_s
            self._usual_s[name] = min(now.median_s, later_s)
        return worst

    def _is_slow(self, median_s: float | None) -> bool:
        if median_s is None:
            return False
        self._best_s = min(self._best_s, median_s)
        return median_s > OVERLOADED * max(self._best_s, PROMPT_S)
