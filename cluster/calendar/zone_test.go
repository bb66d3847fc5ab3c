package calendar

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain gives the machine a zone of its own, which package time would find.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "zoneinfo")
	if err != nil {
		panic(err)
	}
	f, err := zoneFiles()["Asia/Tokyo"].Open()
	if err != nil {
		panic(err)
	}
	data, err := io.ReadAll(f)
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "Test"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Test", "Zone"), data, 0o644)
	}
	if err == nil {
		err = os.Setenv("ZONEINFO", dir)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestSegments: each zone of the data is the row of segments that package time shows, without holes, from 1970 to beyond the table.
func TestSegments(t *testing.T) {
	r := seeded(t)
	samples := 0
	for name := range zoneFiles() {
		z, err := loadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(z.table); i++ {
			if z.table[i].start != z.table[i-1].end {
				t.Fatalf("%s: a hole before %v", name, z.table[i])
			}
		}
		check := func(sec int64) {
			s := z.at(sec)
			_, offset := time.Unix(sec, 0).In(z.loc).Zone()
			if samples++; s.offset != int64(offset) || sec < s.start || sec >= s.end || s.offset >= maxOffset || s.offset <= -maxOffset {
				t.Fatalf("%s at %d: %+v, package time says %d", name, sec, s, offset)
			}
			// The whole of a segment has one offset.
			for _, at := range []int64{max(s.start, sec-1e9), min(s.end-1, sec+1e9), s.start + (min(s.end, 1e11)-s.start)/2} {
				if at < s.start || at < -1e9 {
					continue
				}
				if _, offset := time.Unix(at, 0).In(z.loc).Zone(); int64(offset) != s.offset {
					t.Fatalf("%s: %+v, at %d package time says %d", name, s, at, offset)
				}
			}
		}
		for range 60 {
			check(r.Int64N(4_200_000_000))
			check(r.Int64N(20_000_000_000))
		}
		check(maxSec - r.Int64N(1e9))
		for year := 2096; year < 2140; year += 4 { // the last day of leap years
			check(time.Date(year, 12, 31, r.IntN(24), 0, 0, 0, time.UTC).Unix())
		}
	}
	t.Logf("%d instants of %d zones", samples, len(zoneFiles()))
}

// TestZones: only names of the data, and a word of help for the others.
func TestZones(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "UTC": "", "Europe/Berlin": "", "America/Argentina/Buenos_Aires": "", "CET": "",
		"Test/Zone":             "IANA name", // the machine has it: see TestMain
		"Local":                 "not the same on every node",
		"Europe/Berln":          "did you mean Europe/Berlin?",
		"berlin":                "did you mean Europe/Berlin?",
		"europe/berlin":         "did you mean Europe/Berlin?",
		"New York":              "did you mean America/New_York?",
		"GMT+2":                 "Etc/GMT-2 is two hours ahead",
		"UTC-05":                "Etc/GMT-2 is two hours ahead",
		"+02:00":                "Etc/GMT-2 is two hours ahead",
		"Etc/GMT-2":             "",
		"../etc/passwd":         "IANA name",
		"/usr/share":            "IANA name",
		"Europe/":               "IANA name",
		"Mars/Olympus":          "IANA name",
		strings.Repeat("x", 65): "at most 64 bytes",
	} {
		_, err := Parse(Definition{Spec: "@daily", Zone: name})
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			continue
		}
		if fe, ok := err.(*FieldError); !ok || fe.Field != "zone" || !strings.Contains(fe.Want, want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

// TestCivil: dates and days against package time.
func TestCivil(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range int64(200_000) {
		date := i - 1000
		if i > 150_000 {
			date = r.Int64N(maxSec / daySeconds)
		}
		want := time.Unix(date*daySeconds, 0).UTC()
		y, m, d := civil(date)
		if y != int64(want.Year()) || m != int(want.Month()) || d != want.Day() || days(y, m)+int64(d)-1 != date {
			t.Fatalf("day %d: %d-%d-%d, want %v; back %d", date, y, m, d, want, days(y, m)+int64(d)-1)
		}
		if n := time.Date(want.Year(), want.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day(); n != monthLength(y, m) {
			t.Fatalf("%d-%d has %d days, not %d", y, m, n, monthLength(y, m))
		}
	}
}

// TestFarZone: nothing is suggested for a short name that is only near because it is short.
func TestFarZone(t *testing.T) {
	if near := nearZone("Mars"); near != "" {
		t.Error(near)
	}
}
