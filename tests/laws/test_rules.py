"""Each rule of the protocol has a law that is named after it, or a test where it can be seen."""

from __future__ import annotations

import re
from pathlib import Path

from tests.traps.test_table import exists

LAWS = Path(__file__).parent
TRACES, WRITERS = "catalogued/test_traces.py::", "traps/test_writers.py::"
# What holders, readers and platforms do is nothing that can be decided without asking them.
ELSEWHERE = {
    5: TRACES + "v6_a_writer_that_is_stopped_while_another_takes_its_path_over",
    15: TRACES + "v16_a_version_that_is_replaced_under_its_reader_is_not_lost",
    17: TRACES + "v8_a_repair_that_goes_on_with_what_it_saw_before",
    20: "backends/test_s3.py::test_a_portals_tag_is_no_tag",
    21: "catalogued/test_move_copy.py::test_p2_two_moves_crosswise_end_in_one_order",
    22: "backends/test_gcs.py::test_publication_and_deletion_carry_their_conditions",
    23: "promises/test_p9_exit.py::test_p1_a_write_that_raises_changed_nothing",
    24: WRITERS + "test_writing_again_completes_what_a_backend_missed",
    25: WRITERS + "test_a_removal_that_cannot_ask_everybody_removes_nothing",
}


def test_every_rule_has_a_law_or_is_shown_elsewhere():
    named = {
        int(number)
        for path in LAWS.glob("test_*.py")
        for name in re.findall(r"def test_(\w+)\(", path.read_text(encoding="utf-8"))
        for number in re.findall(r"(?:^|_)r(\d+)(?=_)", name)
    }
    assert named | set(ELSEWHERE) == set(range(1, 26))
    assert named.isdisjoint(ELSEWHERE)


def test_what_is_shown_elsewhere_is_there():
    assert [test for test in ELSEWHERE.values() if not exists(test)] == []
