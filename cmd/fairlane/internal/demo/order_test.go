package demo

import (
	"strings"
	"testing"
)

func TestInLine(t *testing.T) {
	claims := []Claim{{5, "c", "q"}, {1, "a", "q"}, {3, "b", "q"}, {2, "x", "other"}, {9, "z", "q"}}
	if got := strings.Join(InLine(claims, "q", 5), " "); got != "a b c" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(InLine(claims, "q", 0), " "); got != "a b c z" {
		t.Errorf("got %s", got)
	}
}

func TestCheckTurns(t *testing.T) {
	came := []string{"a", "b", "c"}
	waiting := map[string]int{"a": 5, "b": 1, "c": 2}
	for served, wrong := range map[string]string{
		"a b c a c a a a": "",
		"a b c a":         "",
		"":                "",
		"b a c":           "claim 1 of the line went to b; it was the turn of a",
		"a b c a a":       "claim 5 of the line went to a; it was the turn of c",
		"a b c a b":       "claim 5 of the line went to b; it was the turn of c",
		"a b a":           "claim 3 of the line went to a; it was the turn of c",
	} {
		err := CheckTurns(strings.Fields(served), came, waiting)
		if got := errorText(err); got != wrong {
			t.Errorf("%s: got %q, want %q", served, got, wrong)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
