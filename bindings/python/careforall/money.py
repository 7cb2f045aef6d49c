"""Amounts as integers of a currency's minor unit. Floats are refused everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from . import errors, native

__all__ = ["Money"]

_MINOR_MIN, _MINOR_MAX = -2**63, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: ``Money(2500, "EUR")`` is 25.00 EUR.

    Equal amounts are equal; ordering and arithmetic need one currency, else InvalidError.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units are int, not {type(self.minor).__name__}")
        if not isinstance(self.currency, str):
            raise TypeError(f"a currency is str, not {type(self.currency).__name__}")
        if not _MINOR_MIN <= self.minor <= _MINOR_MAX:
            raise errors.invalid(native.ERANGE, "minor", "an amount has 64 bits")
        native.money_make(self.minor, self.currency)

    @classmethod
    def parse(cls, text: str) -> Money:
        """Read ``"25.00 EUR"`` or ``"EUR 25.00"`` exactly; nothing is ever rounded."""
        return cls._trusted(*native.money_parse(text))

    @classmethod
    def of(cls, amount: Decimal | str | int, currency: str) -> Money:
        """Build from major units: ``Money.of(Decimal("25.00"), "EUR")``. More decimals than the currency has
        are refused, never rounded; so is a float, which has already lost the amount."""
        if isinstance(amount, bool) or not isinstance(amount, (Decimal, str, int)):
            raise TypeError(f"an amount is Decimal, str or int, not {type(amount).__name__}")
        if not isinstance(currency, str):
            raise TypeError(f"a currency is str, not {type(currency).__name__}")
        text = format(amount, "f") if isinstance(amount, Decimal) else str(amount)
        return cls.parse(f"{text} {currency}")

    @classmethod
    def _trusted(cls, minor: int, currency: str) -> Money:
        made = object.__new__(cls)
        object.__setattr__(made, "minor", minor)
        object.__setattr__(made, "currency", currency)
        return made

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exactly."""
        exponent: int = native.currency_exponent(self.currency)
        digits = tuple(int(digit) for digit in str(abs(self.minor)))
        return Decimal((1 if self.minor < 0 else 0, digits, -exponent))

    def __str__(self) -> str:
        text: str = native.money_format((self.minor, self.currency))
        return text

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return self._trusted(*native.money_add((self.minor, self.currency), (other.minor, other.currency)))

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return self._trusted(*native.money_sub((self.minor, self.currency), (other.minor, other.currency)))

    def _compare(self, other: Money) -> int:
        order: int = native.money_compare((self.minor, self.currency), (other.minor, other.currency))
        return order

    def __lt__(self, other: Money) -> bool:
        return self._compare(other) < 0 if isinstance(other, Money) else NotImplemented

    def __le__(self, other: Money) -> bool:
        return self._compare(other) <= 0 if isinstance(other, Money) else NotImplemented

    def __gt__(self, other: Money) -> bool:
        return self._compare(other) > 0 if isinstance(other, Money) else NotImplemented

    def __ge__(self, other: Money) -> bool:
        return self._compare(other) >= 0 if isinstance(other, Money) else NotImplemented


def from_pair(pair: tuple[int, str]) -> Money | None:
    """An amount as the native layer returns it; None when it has no currency."""
    return Money._trusted(*pair) if pair[1] else None


def to_pair(amount: Money | None) -> tuple[int, str]:
    if amount is None:
        return 0, ""
    if not isinstance(amount, Money):
        raise TypeError(f"an amount is careforall.Money, not {type(amount).__name__}")
    return amount.minor, amount.currency
