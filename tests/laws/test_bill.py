"""The bill: every copy is paid for once, and the slowest platform sets the time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.errors import ConfigurationError
from resilient_store.model.amount import Amount
from resilient_store.protocol.bill import (
    Bill,
    Price,
    Rate,
    by_domain,
    kept,
    narrowest,
    transfer,
)

DOMAINS = {"a": "aws/us", "b": "aws/eu", "g": "gcp", "z": "azure"}
names = st.sampled_from(sorted(DOMAINS))
amounts = st.builds(Amount, st.integers(0, 10**6), st.integers(0, 10**13))
copies = st.dictionaries(st.tuples(names, names), amounts, max_size=6)
RATES = {
    "aws": Rate(objects_per_s=10, bytes_per_s=1000),
    "aws/eu": Rate(objects_per_s=5, bytes_per_s=1e6),
    "gcp": Rate(objects_per_s=100, bytes_per_s=500),
    "azure": Rate(objects_per_s=1, bytes_per_s=1e9),
}
PRICES = {
    "aws": Price(storage=0.02, put=0.005, get=0.0004, egress=0.09),
    "aws/eu": Price(storage=0.03, put=0.006, egress=0.05),
    "gcp": Price(storage=0.02, get=0.001),
    "azure": Price(storage=0),
}


def price_of(name):
    return PRICES["aws/eu" if name == "b" else DOMAINS[name].partition("/")[0]]


@given(copies)
def test_each_copy_is_read_written_and_paid_for_once(made):
    found = transfer(made, DOMAINS, None, PRICES)
    money, left = [], {}
    for (source, target), amount in made.items():
        money.append(amount.count / 1000 * price_of(source).get)
        money.append(amount.count / 1000 * price_of(target).put)
        away, to = (DOMAINS[name].partition("/")[0] for name in (source, target))
        if away != to:
            money.append(amount.size / 1e9 * price_of(source).egress)
            left[away] = left.get(away, 0) + amount.size
    assert found.cost == pytest.approx(math.fsum(money))
    assert found.egress == left
    for done in (found.read, found.written):
        assert sum(done.values(), Amount()) == found.copies == sum(made.values(), Amount())
    assert found.seconds is None


@given(copies)
def test_the_slowest_platform_sets_the_time(made):
    slowest = 0.0
    for prefix, inside in {"aws": "a", "aws/eu": "b", "gcp": "g", "azure": "z"}.items():
        ends = [amount for pair, amount in made.items() for name in pair if name == inside]
        slowest = max(slowest, sum(one.count for one in ends) / RATES[prefix].objects_per_s)
        slowest = max(slowest, sum(one.size for one in ends) / RATES[prefix].bytes_per_s)
    found = transfer(made, DOMAINS, RATES, None)
    assert found.seconds == pytest.approx(slowest)
    assert found.cost is None


@given(st.dictionaries(names, amounts))
def test_what_is_kept_is_paid_for_by_the_month(held):
    lines = kept(held, DOMAINS, PRICES)
    money = [amount.size / 1e9 * price_of(name).storage for name, amount in held.items()]
    assert sum(line.monthly for line in lines) == pytest.approx(math.fsum(money))
    assert sum((line.copies for line in lines), Amount()) == sum(held.values(), Amount())
    assert {line.platform for line in lines} == {DOMAINS[n].partition("/")[0] for n in held}
    assert {line.monthly for line in kept(held, DOMAINS, None)} <= {None}


def test_a_bill_is_read_by_people():
    held = {"a": Amount(2, 3 * 10**12), "g": Amount(1, 10**9)}
    lines = kept(held, DOMAINS, PRICES)
    move = transfer({("a", "g"): Amount(1, 10**9)}, DOMAINS, RATES, PRICES)
    assert str(Bill(now=lines, planned=lines[:1], move=move)) == (
        "Kept now, 60.02 a month:\n"
        "  aws  2 copies  3.0 TB  60.00 a month\n"
        "  gcp    1 copy  1.0 GB   0.02 a month\n"
        "Kept under the placements given, 60.00 a month:\n"
        "  aws  2 copies  3.0 TB  60.00 a month\n"
        "  to get there: 1 copy, 1.0 GB, 23 d 3 h, costs 0.09"
    )
    assert str(Bill(now=())) == "Kept now:\n  nothing"


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", True, None])
@pytest.mark.parametrize("field", ["storage", "put", "get", "egress"])
def test_a_price_is_a_number_of_at_least_nothing(field, value):
    with pytest.raises(ConfigurationError) as caught:
        Price(**{"storage": 1.0, field: value})
    assert str(caught.value) == f"Price: {field}={value!r} must be a finite number of at least 0"


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", True])
@pytest.mark.parametrize("field", ["objects_per_s", "bytes_per_s"])
def test_a_rate_is_a_number_above_nothing(field, value):
    with pytest.raises(ConfigurationError, match=f"Rate: {field}="):
        Rate(**{"objects_per_s": 1.0, "bytes_per_s": 1.0, field: value})


def test_a_table_is_plain_data():
    given_table = {"aws/eu/": {"storage": 1, "egress": 2}, "gcp": PRICES["gcp"]}
    table = by_domain("prices", Price, given_table)
    assert table == {"aws/eu": Price(storage=1, egress=2), "gcp": PRICES["gcp"]}
    for wrong, said in (
        ([], "a mapping"),
        ({"aws": {"storrage": 1}}, "prices of 'aws'.*storrage"),
        ({"aws": 3}, "prices of 'aws'"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            by_domain("prices", Price, wrong)


def test_the_narrowest_domain_counts_and_one_must():
    assert narrowest("rates", RATES, "aws/eu/1") == ("aws/eu", RATES["aws/eu"])
    assert narrowest("rates", RATES, "aws/us") == ("aws", RATES["aws"])
    with pytest.raises(ConfigurationError, match="rates says nothing of 'aws-cn/x': add 'aws-cn'"):
        narrowest("rates", RATES, "aws-cn/x")


def test_without_rates_and_prices_a_transfer_is_copies_and_bytes():
    moved = {("a", "g"): Amount(2, 10**9)}
    assert str(transfer(moved, DOMAINS, None, None)) == "2 copies, 1.0 GB"


@pytest.mark.parametrize("pair", [("a", "new"), ("new", "a")])
def test_a_table_that_lacks_a_platform_is_named(pair):
    domains = {**DOMAINS, "new": "oracle/1"}
    moved = {pair: Amount(1, 1)}
    said = "says nothing of 'oracle/1': add 'oracle', or a domain below it"
    with pytest.raises(ConfigurationError, match=f"^rates {said}$"):
        transfer(moved, domains, RATES, None)
    with pytest.raises(ConfigurationError, match=f"^prices {said}$"):
        transfer(moved, domains, None, PRICES)
    with pytest.raises(ConfigurationError, match=f"^prices {said}$"):
        kept({"new": Amount(1, 1)}, domains, PRICES)


def test_without_prices_a_bill_tells_copies_and_bytes():
    lines = kept({"a": Amount(2, 3 * 10**12)}, DOMAINS, None)
    assert str(Bill(now=lines)) == "Kept now:\n  aws  2 copies  3.0 TB"
