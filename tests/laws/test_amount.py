"""Numbers as people read them: never a digit too many, and never rounded into another unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.amount import Amount, in_bytes, in_columns, in_time

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}


@given(st.integers(0, 10**17))
def test_bytes_are_right_to_a_twentieth(size):
    number, unit = in_bytes(size).split()
    assert abs(float(number.replace(",", "")) * UNITS[unit] - size) <= size / 20
    assert float(number.replace(",", "")) < 1000


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (9_960, "10 kB"),
        (9_600, "9.6 kB"),
        (10**18, "1,000 PB"),
        (10**21, "1,000,000 PB"),
    ],
)
def test_bytes_at_the_edges(size, said):
    assert in_bytes(size) == said


@given(st.integers(1, 10**8))
def test_a_time_is_right_to_its_second_unit(seconds):
    lengths = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    words = in_time(seconds).split()
    said = sum(int(n) * lengths[u] for n, u in zip(words[::2], words[1::2], strict=True))
    assert 0 <= seconds - said < lengths[words[1]]
    assert len(words) in (2, 4)


def test_amounts_add_up_and_columns_line_up():
    assert Amount(1, 2) + Amount(3, 4) == Amount(4, 6)
    assert in_columns([["a", "5 B", ""], ["bcd", "12 B", "x"]]) == "  a     5 B\n  bcd  12 B  x"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "less than 1 s"), (0.4, "less than 1 s"), (0.6, "1 s")]
)
def test_no_time_is_said_to_be_nothing(seconds, said):
    assert in_time(seconds) == said


def test_a_row_that_lacks_a_cell_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        in_columns([["a", "b"], ["c"]])
