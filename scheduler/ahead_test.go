package scheduler

import (
	"fmt"
	"slices"
	"testing"
)

// TestAhead compares Tally.Ahead with what happens: the offer claims again and again, each claim leaves the board and takes the turn, until
// it gets the job, or nothing. Boards, offers and what is closed are random; sometimes the question is asked about a job that is not on the
// roll yet, or under the assumption that something closed opens.
func TestAhead(t *testing.T) {
	first, count := seeds(t)
	found, closed, absent, held := 0, 0, 0, 0
	for i := range count {
		h := newHistory(t, first+uint64(i))
		for range 120 {
			h.step()
		}
		if len(h.model.jobs) == 0 {
			continue
		}
		job := h.model.jobs[h.rng.IntN(len(h.model.jobs))]
		o := h.offer()
		if h.rng.IntN(3) > 0 { // an offer that names its queue
			o.Chain = append(o.Chain[:h.rng.IntN(len(o.Chain))], job.Queue)
		}
		as := h.assumption(job)
		isAbsent := h.rng.IntN(4) == 0
		if isAbsent {
			h.board.Remove(job.ID)
			h.model.remove(job.ID)
			absent++
		} else if isAbsent = !h.model.stands(job); isAbsent { // it waits, but in no line
			held++
		}
		got, ok := h.board.Roll().Tally(job, o.Excluded).Ahead(o, as)
		h.comeTrue(job, as)
		if h.isClosed(job) {
			closed++
			if ok && !isAbsent { // only fsm knows what is closed for a user who waits in no line
				h.fatalf("closed job %+v, offer %+v: %+v", job, o, got)
			}
			continue
		}
		want, wantOK := h.claimsUntil(job, o)
		if ok != wantOK || ok && got.Claims != uint64(len(want)) {
			h.fatalf("job %+v, offer %+v: %d claims ahead %v, want %d %v: %+v\nwaiting %+v\nturns %v", job, o, got.Claims, ok, len(want), wantOK, want,
				h.model.jobs, h.turns)
		}
		if !ok {
			continue
		}
		found++
		if err := sameUsers(got, want); err != nil {
			h.fatalf("job %+v, offer %+v: %v", job, o, err)
		}
	}
	t.Logf("%d answers with a place in a line, %d of closed jobs, %d about absent jobs, %d about jobs that are held back", found, closed, absent, held)
	if found < count/4 || held < count/20 {
		t.Errorf("only %d of %d histories gave a place", found, count)
	}
}

// assumption opens what is closed for the job, and sometimes more.
func (h *history) assumption(job Job) Assumption {
	everything := h.rng.IntN(2) == 0
	if h.rng.IntN(4) == 0 {
		return Assumption{Turns: h.turns}
	}
	return Assumption{
		OpenQueue:  func(q string) bool { return everything || q == job.Queue },
		OpenUser:   func(u string) bool { return everything || u == job.User },
		OpenUserIn: func(q, u string) bool { return everything || q == job.Queue && u == job.User },
		Turns:      h.turns,
	}
}

// comeTrue makes the job wait and opens what is assumed to be open.
func (h *history) comeTrue(job Job, as Assumption) {
	if !h.board.Has(job.ID) {
		h.board.Add(job)
		h.model.jobs = append(h.model.jobs, job)
	}
	if c := job.Coordinator; c != "" { // what goes before it has ended
		h.model.busy[c] = false
		for _, j := range h.model.sequence(c) {
			if j.ID == job.ID {
				break
			}
			h.board.Remove(j.ID)
			h.model.remove(j.ID)
		}
		h.gates(h.board)
	}
	if as.OpenQueue == nil {
		return
	}
	for k := range h.model.closedQueue {
		h.model.closedQueue[k] = h.model.closedQueue[k] && !as.OpenQueue(k)
	}
	for k := range h.model.closedUser {
		h.model.closedUser[k] = h.model.closedUser[k] && !as.OpenUser(k)
	}
	for k := range h.model.closedIn {
		h.model.closedIn[k] = h.model.closedIn[k] && !as.OpenUserIn(k[0], k[1])
	}
	h.gates(h.board)
}

func (h *history) isClosed(job Job) bool {
	return h.model.closedQueue[job.Queue] || h.model.closedUser[job.User] || h.model.closedIn[[2]string{job.Queue, job.User}]
}

// claimsUntil claims for the offer until it gets the job.
func (h *history) claimsUntil(job Job, o Offer) (before []Pick, found bool) {
	for fence := Fence(1 << 40); ; fence++ {
		pick, ok := h.board.Next(o)
		if !ok || pick.Job.ID == job.ID {
			return before, ok
		}
		before = append(before, pick)
		if c := pick.Job.Coordinator; c != "" { // none follows
			h.board.CloseCoordinator(c)
			h.model.busy[c] = true
		}
		h.board.Remove(pick.Job.ID)
		h.model.remove(pick.Job.ID)
		if !o.OnlyUser {
			h.turns[[2]string{pick.Line, pick.Job.User}] = fence
			h.board.Served(pick.Line, pick.Job.User)
		}
	}
}

// sameUsers compares who is named to be ahead with who was served in the line.
func sameUsers(s Standing, before []Pick) error {
	served := map[string]uint64{}
	for _, pick := range before {
		if pick.Line == s.Line {
			served[pick.Job.User]++
		}
	}
	var want []UserAhead
	for user, jobs := range served {
		want = append(want, UserAhead{user, jobs})
	}
	slices.SortFunc(want, compareAhead)
	if s.UsersAhead != uint64(len(want)) || !slices.Equal(s.Users, want[:min(len(want), mostUsersAhead)]) {
		return fmt.Errorf("%d users ahead %v, want %v", s.UsersAhead, s.Users, want)
	}
	return nil
}

// TestAheadCounts checks the numbers beside the claims against the naive model.
func TestAheadCounts(t *testing.T) {
	first, count := seeds(t)
	for i := range count / 2 {
		h := newHistory(t, first+uint64(i))
		for range 100 {
			h.step()
		}
		if len(h.model.jobs) == 0 {
			continue
		}
		job, o := h.model.jobs[h.rng.IntN(len(h.model.jobs))], h.offer()
		if !h.model.stands(job) {
			continue
		}
		s, ok := h.board.Roll().Tally(job, o.Excluded).Ahead(o, Assumption{})
		if !ok {
			continue
		}
		stand := h.model.candidates(s.Line, o)
		for _, earlier := range o.Chain[:s.Position] {
			stand = slices.DeleteFunc(stand, func(j Job) bool { return j.Queue == earlier })
		}
		sortByPriority(stand)
		waiting := uint64(len(stand))
		stand = slices.DeleteFunc(stand, func(j Job) bool { return j.User != job.User })
		position := slices.IndexFunc(stand, func(j Job) bool { return j.ID == job.ID }) + 1
		if s.Waiting != waiting || s.UserWaiting != uint64(len(stand)) || s.UserPosition != uint64(position) || s.Mode != h.model.modeOf(s.Line) {
			h.fatalf("job %+v, offer %+v: %+v, want %d waiting, %d of %d", job, o, s, waiting, position, len(stand))
		}
	}
}

// TestRollIsACopy: a copy stays as it was while the board goes on, and is read meanwhile (under -race).
func TestRollIsACopy(t *testing.T) {
	h := newHistory(t, 7)
	for range 300 {
		h.step()
	}
	roll := h.board.Roll()
	job := h.model.jobs[0]
	o := Offer{Chain: []string{Any}}
	before, ok := roll.Tally(job, nil).Ahead(o, Assumption{Turns: h.turns})
	done := make(chan error)
	go func() {
		for range 200 {
			if after, stillOK := roll.Tally(job, nil).Ahead(o, Assumption{}); fmt.Sprint(after, stillOK) != fmt.Sprint(before, ok) {
				done <- fmt.Errorf("was %+v %v, is %+v %v", before, ok, after, stillOK)
				return
			}
		}
		done <- nil
	}()
	for range 3000 {
		h.step()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
