package calendar

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// field is one of the five: which values it names.
type field struct {
	bits uint64
	// star: it starts with `*`, so it does not restrict.
	star  bool
	items []item
}

// item is one part of a field: a value, a range, or `*`; of the last two each step-th value from the first.
type item struct {
	star, ranged      bool
	first, last, step int
}

// kind of a field: its bounds and its names.
type kind struct {
	name        string
	first, last int
	// most is the largest number that may be written: 7 is Sunday too.
	most  int
	names []string // of first, first+1, ...
}

var kinds = [5]kind{
	{name: "minute", first: 0, last: 59, most: 59},
	{name: "hour", first: 0, last: 23, most: 23},
	{name: "day of month", first: 1, last: 31, most: 31},
	{name: "month", first: 1, last: 12, most: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
	{name: "weekday", first: 0, last: 6, most: 7, names: strings.Fields("sun mon tue wed thu fri sat")},
}

// macros of Vixie cron, without @reboot.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// reading is a spec while it is read: for the sentences about what is wrong.
type reading struct{ spec string }

func (r reading) wrong(format string, args ...any) error {
	return &FieldError{"spec", r.spec, fmt.Sprintf(format, args...)}
}

// parseCron reads five fields or a macro. It is stricter than Vixie cron: whatever other crons read in different ways is refused.
func parseCron(spec string) (*cron, error) {
	r := reading{spec}
	for _, c := range spec {
		if c != '\t' && (c < ' ' || c > '~') {
			return nil, r.wrong("letters, digits, blanks and * , - / only; %q is none of them", c)
		}
	}
	text := spec
	if strings.HasPrefix(text, "@") {
		var err error
		if text, err = r.macro(); err != nil {
			return nil, err
		}
	}
	parts := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' })
	if zone, ok := cutZone(parts[0]); ok {
		return nil, r.wrong("five fields without TZ= before them; put %q into zone", zone)
	}
	switch n := len(parts); {
	case n == 6:
		return nil, r.wrong("five fields: minute, hour, day of month, month, weekday; this has 6: seconds and years are not supported (@every 10s counts seconds)")
	case n == 7:
		return nil, r.wrong("five fields: minute, hour, day of month, month, weekday; this has 7: seconds and years are not supported")
	case n != 5:
		return nil, r.wrong("five fields: minute, hour, day of month, month, weekday; this has %d%s", n, r.nearMacro())
	}
	c := &cron{}
	for i, into := range []*field{&c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		f, err := r.field(kinds[i], parts[i])
		if err != nil {
			return nil, err
		}
		*into = f
	}
	c.fixed = !c.hour.star
	if _, ok := c.from(0); !ok {
		return nil, r.never(c)
	}
	return c, nil
}

// nearMacro names the macro whose @ was left out.
func (r reading) nearMacro() string {
	if _, ok := macros["@"+strings.ToLower(r.spec)]; ok {
		return "; did you mean @" + strings.ToLower(r.spec) + "?"
	}
	return ""
}

// macro gives the five fields that a macro stands for.
func (r reading) macro() (string, error) {
	low := strings.ToLower(r.spec)
	if text, ok := macros[low]; ok {
		return text, nil
	}
	word, rest, more := strings.Cut(strings.ReplaceAll(low, "\t", " "), " ")
	if _, ok := macros[word]; ok && more {
		return "", r.wrong("%s and nothing behind it, not %q", word, strings.TrimSpace(rest))
	}
	if word == "@reboot" {
		return "", r.wrong("a time; @reboot has none: a cluster does not start the way a machine does. Trigger the schedule, or use @every")
	}
	near, least := "", 3
	for _, known := range []string{"@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually", "@midnight", "@every", "@at"} {
		if d := distance(word, known); d < least {
			near, least = "; did you mean "+known+"?", d
		}
	}
	return "", r.wrong("one of @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually), @every DURATION, @at TIME%s", near)
}

// cutZone finds a zone in front of the fields, as some crons have it.
func cutZone(part string) (zone string, found bool) {
	for _, prefix := range []string{"TZ=", "CRON_TZ="} {
		if len(part) >= len(prefix) && strings.EqualFold(part[:len(prefix)], prefix) {
			return part[len(prefix):], true
		}
	}
	return "", false
}

// field reads a list of items.
func (r reading) field(k kind, text string) (field, error) {
	f := field{star: text[0] == '*'}
	for _, part := range strings.Split(text, ",") {
		if part == "" {
			return f, r.wrong("%s: a value between the commas of %q", k.name, text)
		}
		it, err := r.item(k, part)
		if err != nil {
			return f, err
		}
		f.items = append(f.items, it)
		for v := it.first; v <= it.last; v += it.step {
			if v > k.last { // Sunday as 7
				f.bits |= 1 << (v - 7)
			} else {
				f.bits |= 1 << v
			}
		}
	}
	return f, nil
}

// item reads a value, a range, or `*`, and the step behind it.
func (r reading) item(k kind, text string) (item, error) {
	it := item{step: 1}
	body, step, stepped := strings.Cut(text, "/")
	if body == "*" {
		it.star, it.first, it.last = true, k.first, k.last
	} else {
		low, high, ranged := strings.Cut(body, "-")
		var err error
		if it.first, err = r.value(k, low, text); err != nil {
			return it, err
		}
		it.last = it.first
		if it.ranged = ranged; ranged {
			if it.last, err = r.value(k, high, text); err != nil {
				return it, err
			}
		}
		if it.last < it.first {
			return it, r.wrong("%s: a range that rises, not %q%s", k.name, body, k.rising(it, low, high))
		}
	}
	if !stepped {
		return it, nil
	}
	n, err := strconv.ParseUint(step, 10, 31)
	switch {
	case err != nil || n == 0:
		return it, r.wrong("%s: a whole number of at least 1 as the step of %q", k.name, text)
	case !it.star && !it.ranged:
		return it, r.wrong("%s: a step behind a range, not behind the single value of %q%s", k.name, text, k.stepped(body, it.first, int(n)))
	case it.last == it.first:
		return it, r.wrong("%s: no step in %q: %s is one value; write %d", k.name, text, body, it.first)
	case int(n) > it.last-it.first:
		return it, r.wrong("%s: a step of at most %d in %q: %s are %d to %d, and a larger step would name the first only; then write %d",
			k.name, it.last-it.first, text, body, it.first, it.last, it.first)
	}
	it.step = int(n)
	return it, nil
}

// stepped says how to write a step that stands behind a single value; only what is accepted.
func (k kind) stepped(body string, first, step int) string {
	switch {
	case first+step <= k.last:
		return fmt.Sprintf("; write %s-%d/%d or */%d", body, k.last, step, step)
	case k.first+step <= k.last:
		return fmt.Sprintf("; write */%d, or %s", step, body)
	}
	return "; write " + body
}

// rising says how to write a range that goes over the end.
func (k kind) rising(it item, low, high string) string {
	if k.most == 7 && it.last == 0 {
		return fmt.Sprintf("; write %s-7", low)
	}
	tail, head := low, high
	if it.first < k.last {
		tail = fmt.Sprintf("%s-%d", low, k.last)
	}
	if it.last > k.first {
		head = fmt.Sprintf("%d-%s", k.first, high)
	}
	return fmt.Sprintf("; write %s,%s", tail, head)
}

// value reads a number or a name; part is what it stands in.
func (r reading) value(k kind, text, part string) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		if int(n) < k.first || int(n) > k.most {
			return 0, r.wrong("%s: a number from %d to %d, not %s", k.name, k.first, k.most, text)
		}
		return int(n), nil
	}
	low := strings.ToLower(text)
	for i, name := range k.names {
		if name == low {
			return k.first + i, nil
		}
	}
	if text == "" {
		return 0, r.wrong("%s: a number%s where nothing stands in %q", k.name, k.orName(), part)
	}
	return 0, r.wrong("%s: a number from %d to %d%s, not %q%s", k.name, k.first, k.most, k.orName(), text, k.instead(low))
}

func (k kind) orName() string {
	if len(k.names) == 0 {
		return ""
	}
	return " or a name (" + k.names[0] + "-" + k.names[len(k.names)-1] + ")"
}

// instead says what could be meant by something that other crons read.
func (k kind) instead(low string) string {
	for _, name := range k.names {
		if strings.HasPrefix(low, name) {
			return "; did you mean " + name + "?"
		}
	}
	for _, other := range kinds[3:] {
		for _, name := range other.names {
			if low == name {
				return "; " + low + " is a " + other.name
			}
		}
	}
	switch {
	case low == "*":
		return "; * stands alone or has a step, as in */5"
	case strings.Contains(low, "?"):
		return "; ? is not supported: write *"
	case strings.Contains(low, "#"):
		return "; # (nth weekday) is not supported: write the weekday, and let the job look at the date"
	case low == "l" || low == "lw" || strings.HasSuffix(low, "l"):
		return "; L (last) is not supported: use day 28, or run on 28-31 and let the job look at the date"
	case strings.HasSuffix(low, "w"):
		return "; W (nearest working day) is not supported"
	case low == "h" || strings.Contains(low, "~"):
		return "; random values are not supported: use spread or jitter"
	}
	return ""
}

// never says why no date matches: the days of month are beyond the length of every month named.
func (r reading) never(c *cron) error {
	day := bits.TrailingZeros64(c.day.bits)
	longest, months := 0, []string{}
	for m := 1; m <= 12; m++ {
		if c.month.bits>>m&1 == 1 {
			longest = max(longest, monthLength(2000, m))
			months = append(months, kinds[3].names[m-1])
		}
	}
	return r.wrong("a date that comes: day of month %d never comes in %s, which has at most %d", day, strings.Join(months, ", "), longest)
}
