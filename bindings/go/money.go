package careforall

import "careforall.org/go/internal/native"

// Money is an exact amount in a currency's minor unit: Money{2500, "EUR"} is 25.00 EUR.
type Money struct {
	Minor    int64
	Currency string
}

// ParseMoney reads "25.00 EUR" or "EUR 25.00" exactly; nothing is ever rounded.
func ParseMoney(text string) (Money, error) {
	var made native.Money
	if err := native.Money_parse(&made, text); err != nil {
		return Money{}, wrap(err)
	}
	return moneyOf(made), nil
}

// NewMoney builds an amount after checking the currency code.
func NewMoney(minor int64, currency string) (Money, error) {
	var made native.Money
	if err := native.Money_make(&made, minor, currency); err != nil {
		return Money{}, wrap(err)
	}
	return moneyOf(made), nil
}

// String formats as "25.00 EUR", or as the bare numbers of what is no amount.
func (m Money) String() string {
	var text native.Text
	if err := native.Money_format(&text, m.native()); err != nil {
		return "invalid money (" + wrap(err).Error() + ")"
	}
	formatted, _ := native.Take(text)
	return formatted
}

// Add returns the sum: ECURRENCY when the currencies differ, ERANGE beyond 64 bits.
func (m Money) Add(other Money) (Money, error) {
	var made native.Money
	if err := native.Money_add(&made, m.native(), other.native()); err != nil {
		return Money{}, wrap(err)
	}
	return moneyOf(made), nil
}

// Sub returns the difference, with the errors of Add.
func (m Money) Sub(other Money) (Money, error) {
	var made native.Money
	if err := native.Money_sub(&made, m.native(), other.native()); err != nil {
		return Money{}, wrap(err)
	}
	return moneyOf(made), nil
}

// Compare returns -1, 0 or 1; ECURRENCY when the currencies differ.
func (m Money) Compare(other Money) (int, error) {
	var order int32
	err := native.Money_compare(&order, m.native(), other.native())
	return int(order), wrap(err)
}

// Exponent returns a currency's number of decimals by ISO 4217.
func Exponent(currency string) (int, error) {
	var exponent int32
	err := native.Currency_exponent(&exponent, currency)
	return int(exponent), wrap(err)
}

func (m Money) native() native.Money { return native.MakeMoney(m.Minor, m.Currency) }

func moneyOf(money native.Money) Money {
	minor, currency := native.Split(money)
	return Money{minor, currency}
}
