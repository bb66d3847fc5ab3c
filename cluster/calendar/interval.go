package calendar

import (
	"math/big"
	"strconv"
	"strings"
)

// units of a duration, in nanoseconds.
var units = map[string]int64{
	"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 24 * 3600e9, "w": 7 * 24 * 3600e9,
}

// parsePeriod reads what stands behind @every: numbers with units, as Go writes them, and d and w besides. In ms.
func parsePeriod(spec, text string) (int64, error) {
	const example = "@every and a duration such as 90s, 1h30m, 2d or 1w"
	if text == "" {
		return 0, &FieldError{"spec", spec, example}
	}
	sum := new(big.Rat)
	for text != "" {
		end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end < 0 {
			return 0, &FieldError{"spec", spec, example + "; the number " + text + " has no unit"}
		}
		number, ok := new(big.Rat).SetString(text[:end])
		if !ok {
			return 0, &FieldError{"spec", spec, example}
		}
		text = text[end:]
		if end = strings.IndexAny(text, ".0123456789"); end < 0 {
			end = len(text)
		}
		unit, known := units[text[:end]]
		if !known {
			return 0, &FieldError{"spec", spec, example + "; units are w, d, h, m, s and ms, not " + strconv.Quote(text[:end])}
		}
		text = text[end:]
		sum.Add(sum, number.Mul(number, new(big.Rat).SetInt64(unit)))
	}
	sum.Quo(sum, new(big.Rat).SetInt64(1e6))
	switch {
	case sum.Cmp(big.NewRat(1000, 1)) < 0:
		return 0, &FieldError{"spec", spec, "at least 1s"}
	case !sum.IsInt():
		return 0, &FieldError{"spec", spec, "whole milliseconds"}
	case !sum.Num().IsInt64() || sum.Num().Int64() >= maxMs:
		return 0, &FieldError{"spec", spec, "less than 2^53 milliseconds"}
	}
	return sum.Num().Int64(), nil
}
