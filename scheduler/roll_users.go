package scheduler

import (
	"cmp"
	"slices"
)

// WaitingUser is a user who waits in a queue.
type WaitingUser struct {
	User   string
	Jobs   uint64
	Oldest JobID // its job with the lowest place

	oldest standing
}

// UsersIn returns the users who wait in a queue with names above after (empty: all), by name, at most limit; jobs that are held back count.
// It looks at every group of the board, at every job of a coordinator, and at the jobs of the users that it returns.
func (r *Roll) UsersIn(queueName, after string, limit int) []WaitingUser {
	if limit <= 0 {
		return nil
	}
	type found struct {
		user   string
		number uint32
		held   *sequenced // a job that is in no group; else nil
	}
	var all []found
	r.groups.Scan(func(number uint32, g group) bool {
		if g.queue.name == queueName && (after == "" || g.user.name > after) {
			all = append(all, found{user: g.user.name, number: number})
		}
		return true
	})
	r.heldBack(func(s *sequenced) {
		if s.job.Queue == queueName && (after == "" || s.job.User > after) {
			all = append(all, found{user: s.job.User, held: s})
		}
	})
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.user, b.user) })
	var users []WaitingUser
	for _, f := range all {
		if n := len(users); n == 0 || users[n-1].User != f.user {
			if n == limit {
				break
			}
			users = append(users, WaitingUser{User: f.user})
		}
		u := &users[len(users)-1]
		if f.held != nil {
			u.count(standing{place: f.held.job.Place, id: f.held.job.ID})
		} else {
			r.countGroup(f.number, u)
		}
	}
	return users
}

func (r *Roll) countGroup(number uint32, u *WaitingUser) {
	r.jobs.Ascend(standing{group: number}, func(s standing) bool {
		if s.group != number {
			return false
		}
		u.count(s)
		return true
	})
}

func (u *WaitingUser) count(s standing) {
	if u.Jobs == 0 || s.older(&u.oldest) {
		u.oldest, u.Oldest = s, s.id
	}
	u.Jobs++
}
