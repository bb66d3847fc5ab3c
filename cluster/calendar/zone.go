package calendar

import (
	"archive/zip"
	"bytes"
	_ "embed" // for the zone data
	"io"
	"math"
	"sort"
	"strings"
	"sync"
	"time"
)

// zoneData is the IANA zone data of the Go distribution, `make zones`. Zones come from here and nowhere else: time.LoadLocation prefers $ZONEINFO and the
// data of the machine to what is built in, and then two nodes of one version could compute two grids. It holds what time/tzdata holds, which gives no
// access to its bytes.
//
//go:embed zoneinfo.zip
var zoneData []byte

// zoneFiles by name, as the data spell it.
var zoneFiles = sync.OnceValue(func() map[string]*zip.File {
	r, err := zip.NewReader(bytes.NewReader(zoneData), int64(len(zoneData)))
	if err != nil {
		panic("calendar: the zone data that are built in cannot be read: " + err.Error())
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			files[f.Name] = f
		}
	}
	return files
})

// zones that were loaded, by name: string -> *zone. There are some 600 names, so it is bounded.
var zones sync.Map

// zone is a time zone as a row of segments. Immutable.
type zone struct {
	name string
	loc  *time.Location
	// table of the segments of about 1970 to 2100, without holes.
	table []segment
}

// segment is a stretch of time, start <= t < end in Unix seconds, in which local time is t + offset.
type segment struct{ start, end, offset int64 }

// Edges of a zone's first and last segment. Far enough, and adding to them does not overflow.
const (
	dawn = math.MinInt64 / 4
	dusk = math.MaxInt64 / 4
)

// loadZone gives the zone of a name; empty: UTC.
func loadZone(name string) (*zone, error) {
	if name == "" {
		name = "UTC"
	}
	if z, ok := zones.Load(name); ok {
		return z.(*zone), nil
	}
	if len(name) > maxZone {
		return nil, &FieldError{"zone", name[:maxZone] + "...", "at most 64 bytes"}
	}
	if name == "Local" {
		return nil, &FieldError{"zone", name, "a name such as Europe/Berlin; the zone of a machine is not the same on every node"}
	}
	f, ok := zoneFiles()[name]
	if !ok {
		return nil, &FieldError{"zone", name, "an IANA name such as Europe/Berlin or UTC" + nearZone(name)}
	}
	r, err := f.Open()
	if err != nil {
		return nil, &FieldError{"zone", name, "readable zone data: " + err.Error()}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, &FieldError{"zone", name, "readable zone data: " + err.Error()}
	}
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, &FieldError{"zone", name, "readable zone data: " + err.Error()}
	}
	z, _ := zones.LoadOrStore(name, newZone(name, loc))
	return z.(*zone), nil
}

func newZone(name string, loc *time.Location) *zone {
	z := &zone{name: name, loc: loc}
	for sec := int64(-2 * daySeconds); sec < 4102444800; {
		s := z.bounds(sec)
		if n := len(z.table); n > 0 && z.table[n-1].offset == s.offset {
			z.table[n-1].end = s.end
		} else {
			if n > 0 {
				// Where the written transitions of a zone end and its rule begins, package time takes the start from the rule alone (America/Metlakatla, 2019).
				s.start = sec
			}
			z.table = append(z.table, s)
		}
		sec = s.end
	}
	return z
}

// at is the segment that holds an instant. Two that follow each other may have one offset.
func (z *zone) at(sec int64) segment {
	n := len(z.table)
	if sec < z.table[0].start || sec >= z.table[n-1].end {
		return z.bounds(sec)
	}
	return z.table[sort.Search(n, func(i int) bool { return sec < z.table[i].end })]
}

// bounds asks the zone data.
func (z *zone) bounds(sec int64) segment {
	t := time.Unix(sec, 0).In(z.loc)
	_, offset := t.Zone()
	s := segment{dawn, dusk, int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= sec {
		// Beyond the table of a zone ZoneBounds takes each year for 365 days, and on the last day of a leap year gives an end that is over. Nothing changes on
		// the rest of that day.
		s.end = (floorDiv(sec, daySeconds) + 1) * daySeconds
	}
	return s
}

// nearZone names the zone that was perhaps meant.
func nearZone(name string) string {
	if i := strings.IndexAny(name, "+-") + 1; i > 0 && i < len(name) && name[i] >= '0' && name[i] <= '9' {
		// GMT+2 is near Etc/GMT+2, which is two hours behind.
		return "; a fixed offset is named with its sign turned round: Etc/GMT-2 is two hours ahead of UTC"
	}
	best, least := "", 4
	low := strings.ToLower(strings.ReplaceAll(name, " ", "_"))
	for known := range zoneFiles() {
		d := distance(low, strings.ToLower(known))
		if _, city, ok := strings.Cut(known, "/"); ok && strings.ToLower(city) == low {
			d = 1
		}
		if d < least || d == least && known < best {
			best, least = known, d
		}
	}
	if best == "" || least > len(name)/3 { // all is near to a short name
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the letters to put in, take out or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
