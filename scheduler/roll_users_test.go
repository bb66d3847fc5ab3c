package scheduler

import (
	"slices"
	"strings"
	"testing"
)

// TestUsersIn compares pages of users with the jobs that wait.
func TestUsersIn(t *testing.T) {
	first, count := seeds(t)
	for i := range count / 4 {
		h := newHistory(t, first+uint64(i))
		for range 120 {
			h.step()
		}
		queue, limit := h.queue(), 2+h.rng.IntN(5) // a page of one that ends with the user "" would be asked for again
		want := map[string]WaitingUser{}
		for _, j := range h.model.jobs {
			if j.Queue != queue {
				continue
			}
			s, u := standing{place: j.Place, id: j.ID}, want[j.User]
			if u.Jobs == 0 || s.older(&u.oldest) {
				u.oldest = s
			}
			want[j.User] = WaitingUser{User: j.User, Jobs: u.Jobs + 1, oldest: u.oldest, Oldest: u.oldest.id}
		}
		var all []WaitingUser
		for after, roll := "", h.board.Roll(); ; {
			page := roll.UsersIn(queue, after, limit)
			all = append(all, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1].User
		}
		if len(all) != len(want) || !slices.IsSortedFunc(all, func(a, b WaitingUser) int { return strings.Compare(a.User, b.User) }) {
			h.fatalf("users %+v, want %+v", all, want)
		}
		for _, u := range all {
			w := want[u.User]
			if u.Jobs != w.Jobs || u.Oldest != w.Oldest {
				h.fatalf("user %+v, want %+v", u, w)
			}
		}
	}
}
