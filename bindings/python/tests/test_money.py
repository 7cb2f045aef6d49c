"""Money is exact: what goes in as text comes out as text, and nothing is ever rounded."""

import pickle
import random
from decimal import Decimal

import pytest

from careforall import InvalidError, Money

EXPONENTS = {"JPY": 0, "EUR": 2, "USD": 2, "KWD": 3}


def test_every_amount_survives_text_and_decimal():
    draw = random.Random(20261122)
    for _ in range(5000):
        currency, exponent = draw.choice(list(EXPONENTS.items()))
        minor = draw.randrange(-10**draw.randrange(1, 16), 10**draw.randrange(1, 16))
        amount = Money(minor, currency)
        assert Money.parse(str(amount)) == amount
        assert Money.of(amount.decimal, currency) == amount
        assert amount.decimal == Decimal(minor).scaleb(-exponent)


def test_addition_is_that_of_integers():
    draw = random.Random(7)
    for _ in range(1000):
        a, b = draw.randrange(-2**60, 2**60), draw.randrange(-2**60, 2**60)
        assert (Money(a, "EUR") + Money(b, "EUR")).minor == a + b
        assert (Money(a, "EUR") - Money(b, "EUR")).minor == a - b
        assert (Money(a, "EUR") < Money(b, "EUR")) == (a < b)
        assert (Money(a, "EUR") >= Money(b, "EUR")) == (a >= b)


@pytest.mark.parametrize("make", [
    lambda: Money(25.0, "EUR"), lambda: Money(True, "EUR"), lambda: Money("25", "EUR"),
    lambda: Money(Decimal(25), "EUR"), lambda: Money.of(25.0, "EUR"), lambda: Money.of(True, "EUR"),
    lambda: Money.of("25", 978), lambda: Money(25, b"EUR"), lambda: Money(25, None),
])
def test_floats_and_other_wrong_types_are_refused(make):
    with pytest.raises(TypeError):
        make()


@pytest.mark.parametrize("make, name", [
    (lambda: Money.parse("12.505 EUR"), "CFA_EAMOUNT"),
    (lambda: Money.of(Decimal("0.1"), "JPY"), "CFA_EAMOUNT"),
    (lambda: Money.parse("1,000.00 EUR"), "CFA_EINVAL"),
    (lambda: Money.of(Decimal("NaN"), "EUR"), "CFA_EINVAL"),
    (lambda: Money.of(Decimal("Infinity"), "EUR"), "CFA_EINVAL"),
    (lambda: Money.parse("1e3 EUR"), "CFA_EINVAL"),
    (lambda: Money.parse("1\0 EUR"), "CFA_EINVAL"),
    (lambda: Money.parse("1 XXQ"), "CFA_ECURRENCY"),
    (lambda: Money(1, "eur"), "CFA_ECURRENCY"),
    (lambda: Money(1, "EURO"), "CFA_ECURRENCY"),
    (lambda: Money(1, "EU\0"), "CFA_ECURRENCY"),
    (lambda: Money(2**63, "EUR"), "CFA_ERANGE"),
    (lambda: Money(2**63 - 1, "EUR") + Money(1, "EUR"), "CFA_ERANGE"),
    (lambda: Money(1, "EUR") + Money(1, "USD"), "CFA_ECURRENCY"),
    (lambda: Money(1, "EUR") < Money(1, "USD"), "CFA_ECURRENCY"),
    (lambda: Money(1, "EU\udc80"), "CFA_EENCODING"),
])
def test_what_is_no_amount_says_why(make, name):
    with pytest.raises(InvalidError) as caught:
        make()
    assert caught.value.name == name


def test_money_is_a_value():
    amount = Money(2500, "EUR")
    assert amount == Money(2500, "EUR") and hash(amount) == hash(Money(2500, "EUR"))
    assert amount != Money(2500, "USD") and amount != 2500
    assert pickle.loads(pickle.dumps(amount)) == amount
    with pytest.raises(AttributeError):
        amount.minor = 1
    with pytest.raises(TypeError):
        amount + 1
    with pytest.raises(TypeError):
        amount < 1
