package fsm

import (
	"slices"
	"strings"
)

// QueueUser is what a user has in a queue.
type QueueUser struct {
	User string
	// Pending jobs wait in the queue, Running are its live claims there.
	Pending, Running int64
	// OldestWaitMs is how long the job has waited that is in the lines for longest; -1: none waits.
	OldestWaitMs int64
	// AtLimit: the user gets nothing of this queue until one of its claims ends.
	AtLimit bool
	// LastTurn is the fence of its last claim in the line of this queue; 0: never.
	LastTurn Fence
}

// QueueUsers lists the users of a queue with waiting or running jobs by name, those above after, at most limit and at least two; next is from
// where the next page goes on, empty for the last one. False: there is no such queue. It looks once at every user who waits and every live
// claim, and at the jobs of the users of the page.
func (i *Insight) QueueUsers(queue, after string, limit int) (users []QueueUser, next string, ok bool) {
	rec, ok := i.queues.Get(queue)
	if !ok {
		return nil, "", false
	}
	limit = max(limit, 2) // a page that ends with the user "" could not be followed by another
	running, everywhere := i.runningIn(queue)
	for _, w := range i.roll.UsersIn(queue, after, limit+1) {
		oldest, _ := i.jobs.Get(uint64(w.Oldest))
		users = append(users, QueueUser{User: w.User, Pending: int64(w.Jobs), OldestWaitMs: i.waited(oldest.job)})
	}
	waiting := slices.Clone(users) // by name
	for _, user := range sortedKeys(running) {
		_, waits := slices.BinarySearchFunc(waiting, user, func(u QueueUser, name string) int { return strings.Compare(u.User, name) })
		if !waits && (after == "" || user > after) {
			users = append(users, QueueUser{User: user, OldestWaitMs: -1})
		}
	}
	slices.SortFunc(users, func(a, b QueueUser) int { return strings.Compare(a.User, b.User) })
	if len(users) > limit {
		users = users[:limit]
		next = users[limit-1].User
	}
	turns := turnsOf{i.reader()}
	for at := range users {
		u := &users[at]
		u.Running, u.LastTurn = running[u.User], turns.Turn(queue, u.User)
		u.AtLimit = reached(rec.GetSettings().GetMaxRunningPerUser(), u.Running) || reached(i.settings.GetMaxRunningPerUser(), everywhere[u.User])
	}
	return users, next, true
}

// runningIn counts live claims by user: those of one queue, and all.
func (i *Insight) runningIn(queue string) (in, everywhere map[string]int64) {
	in, everywhere = map[string]int64{}, map[string]int64{}
	m := i.reader()
	i.claims.Scan(func(_ uint64, c claim) bool {
		j := m.claimed(c).job
		if j.Queue == queue {
			in[j.User]++
		}
		everywhere[j.User]++
		return true
	})
	return in, everywhere
}
