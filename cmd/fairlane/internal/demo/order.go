package demo

import (
	"cmp"
	"fmt"
	"slices"
)

// InLine gives the users of the claims of one queue in the order of their fences, up to the highest fence given (0: all).
func InLine(claims []Claim, queue string, upTo uint64) []string {
	var line []Claim
	for _, c := range claims {
		if c.Queue == queue && (upTo == 0 || c.Fence <= upTo) {
			line = append(line, c)
		}
	}
	slices.SortFunc(line, func(a, b Claim) int { return cmp.Compare(a.Fence, b.Fence) })
	users := make([]string, len(line))
	for i, c := range line {
		users[i] = c.User
	}
	return users
}

// CheckTurns replays the turn between users in a line in which everything waited from the beginning: users who were never
// served go first, in the order in which they came; then whose turn is longest ago. waiting is how many jobs each user
// has in the line. The error names the first claim that was out of turn.
func CheckTurns(served []string, came []string, waiting map[string]int) error {
	left, turn := map[string]int{}, map[string]int{}
	for u, n := range waiting {
		left[u] = n
	}
	for i, got := range served {
		want := ""
		for _, u := range came {
			if left[u] > 0 && (want == "" || turn[u] < turn[want]) {
				want = u
			}
		}
		if got != want {
			return fmt.Errorf("claim %d of the line went to %s; it was the turn of %s", i+1, got, want)
		}
		left[got]--
		turn[got] = i + 1
	}
	return nil
}
