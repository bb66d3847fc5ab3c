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

// UsersIn returns the users who wait in a queue with names above after (empty: all), by name, at most limit. It looks at every group of the board, and at
// the jobs of the users that it returns.
func (r *Roll) UsersIn(queueName, after string, limit int) []WaitingUser {
	if limit <= 0 {
		return nil
	}
	type found struct {
		user   string
		number uint32
	}
	var all []found
	r.groups.Scan(func(number uint32, g group) bool {
		if g.queue.name == queueName && (after == "" || g.user.name > after) {
			all = append(all, found{g.user.name, number})
		}
		return true
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
		r.countGroup(f.number, &users[len(users)-1])
	}
	return users
}

func (r *Roll) countGroup(number uint32, u *WaitingUser) {
	first := true
	r.jobs.Ascend(standing{group: number}, func(s standing) bool {
		if s.group != number {
			return false
		}
		if first && (u.Jobs == 0 || s.older(&u.oldest)) { // by place, so the first is the oldest
			u.oldest, u.Oldest = s, s.id
		}
		first = false
		u.Jobs++
		return true
	})
}
