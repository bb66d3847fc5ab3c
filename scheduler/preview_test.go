package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
)

// TestPreview: the picks are those of the claims that follow, and a board that was asked is afterwards, whatever it is asked, like the one
// that was not.
func TestPreview(t *testing.T) {
	first, count := seeds(t)
	long := 0
	for i := range count {
		h := newHistory(t, first+uint64(i))
		for range 120 {
			h.step()
		}
		o, n := h.offer(), h.rng.IntN(40)
		before := describeRoll(h.board)
		picks := h.board.Preview(o, n)
		if len(picks) > 3 {
			long++
		}
		if err := checkBoard(h.board); err != nil {
			h.fatalf("after a preview: %v", err)
		}
		if after := describeRoll(h.board); after != before {
			h.fatalf("before the preview\n%s\nafter\n%s", before, after)
		}
		for range 10 {
			h.compare(h.offer())
		}
		for at, want := range picks {
			pick, ok := h.compare(o)
			if !ok || pick != want {
				h.fatalf("pick %d of %+v was said to be %+v, is %+v %v", at, o, want, pick, ok)
			}
			h.board.Remove(pick.Job.ID)
			h.model.remove(pick.Job.ID)
			if h.fence++; !o.OnlyUser {
				h.turns[[2]string{pick.Line, pick.Job.User}] = h.fence
				h.board.Served(pick.Line, pick.Job.User)
			}
		}
		if _, more := h.board.Next(o); more && len(picks) < n {
			h.fatalf("%d of %d picks, but more waits", len(picks), n)
		}
	}
	t.Logf("%d previews of more than three jobs", long)
	if long < count/8 {
		t.Errorf("only %d previews of more than three jobs", long)
	}
}

// describeRoll writes the roll in an order of its own: numbers of groups and the order of the roll say nothing.
func describeRoll(b *Board) string {
	var lines []string
	b.roll.jobs.Scan(func(s standing) bool {
		g, _ := b.roll.groups.Get(s.group)
		lines = append(lines, fmt.Sprintf("job %06d place %d priority %d: %s %s size %d, turns %d %d, closed %v %v", s.id, s.place, s.priority, g.queue.name,
			g.user.name, g.size, g.own, g.star, g.closed, g.closedIn))
		return true
	})
	b.roll.queues.Scan(func(name string, q queueState) bool {
		lines = append(lines, fmt.Sprintf("queue %s %+v", name, q))
		return true
	})
	slices.SortFunc(lines, cmp.Compare[string])
	return fmt.Sprint(lines)
}
