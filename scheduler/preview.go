package scheduler

import "slices"

// Preview returns the next picks of the offer, at most n, as if each job ended before the next claim and nothing else happened: after a job of
// a coordinator the next one of it stands in the lines. It borrows the
// board: jobs are really taken, under turns of its own, and put back; afterwards the board answers as before. So it needs the board alone,
// like a change. A pick costs what a claim and an enqueue cost.
func (b *Board) Preview(offer Offer, n int) []Pick {
	facts := b.turns
	later := &laterTurns{Turns: facts, later: make(map[lineUser]Fence)}
	b.turns = later
	var picks []Pick
	for len(picks) < n {
		pick, found := b.Next(offer)
		if !found {
			break
		}
		picks = append(picks, pick)
		b.Remove(pick.Job.ID)
		if !offer.OnlyUser {
			later.serve(pick.Line, pick.Job.User)
			b.Served(pick.Line, pick.Job.User)
		}
	}
	b.turns = facts
	for _, pick := range slices.Backward(picks) {
		b.Add(pick.Job)
	}
	for _, pick := range picks {
		b.Served(pick.Line, pick.Job.User)
	}
	return picks
}

type lineUser struct{ line, user string }

// laterTurns are turns after claims that only seem to be made.
type laterTurns struct {
	Turns
	later map[lineUser]Fence
	last  Fence
}

// afterAll is above every fence: those have 63 bits.
const afterAll Fence = 1 << 63

func (t *laterTurns) Turn(line, user string) Fence {
	if fence, served := t.later[lineUser{line, user}]; served {
		return fence
	}
	return t.Turns.Turn(line, user)
}

func (t *laterTurns) serve(line, user string) {
	t.last++
	t.later[lineUser{line, user}] = afterAll + t.last
}
