package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// A limit of a job is its own, else its queue's, else the cluster's. It is looked up when it is needed, so a change holds at once for all
// jobs that are not yet claimed; lease and run limit of a claim stay as they were at the claim.

// limits are where a limit of a job may stand; the first that has it counts. The cluster's have all.
type limits [3]*logv1.Limits

func (m *Machine) limitsOf(j *logv1.Job) limits {
	q, _ := m.queues.Get(j.Queue)
	return limits{j.Limits, q.GetSettings().GetLimits(), m.settings.GetLimits()}
}

func pick[T any](l limits, field func(*logv1.Limits) *T) (found T) {
	for _, one := range l {
		if one != nil {
			if v := field(one); v != nil {
				return *v
			}
		}
	}
	return found
}

func (l limits) lease() int64 { return pick(l, func(l *logv1.Limits) *int64 { return l.LeaseMs }) }

// heartbeat fits into the lease three times, also when the lease is the queue's and the heartbeat the cluster's.
func (l limits) heartbeat() int64 {
	return min(pick(l, func(l *logv1.Limits) *int64 { return l.HeartbeatMs }), l.lease()/heartbeatsInLease)
}

// heartbeatsInLease is how many heartbeats a lease is at least long.
const heartbeatsInLease = 3

func (l limits) maxAttempts() int32 {
	return pick(l, func(l *logv1.Limits) *int32 { return l.MaxAttempts })
}

func (l limits) maxRun() int64 { return pick(l, func(l *logv1.Limits) *int64 { return l.MaxRunMs }) }

func (m *Machine) windowOf(j *logv1.Job) int64 {
	return pick(m.limitsOf(j), func(l *logv1.Limits) *int64 { return l.ExclusionWindowMs })
}

func (m *Machine) onTimeout(j *logv1.Job) logv1.OnTimeout {
	return pick(m.limitsOf(j), func(l *logv1.Limits) *logv1.OnTimeout { return l.OnTimeout })
}

// backoff is the wait after the failure that is charged last: first x factor^(charged-1), at most the most. It stops at the most, or
// after as many steps as the attempts, and cannot overflow: the most is below 2^53 and the factor below 2^20, so the quotient goes first.
func (m *Machine) backoff(j *logv1.Job) int64 {
	l := m.limitsOf(j)
	first := pick(l, func(l *logv1.Limits) *int64 { return l.BackoffFirstMs })
	factor := int64(pick(l, func(l *logv1.Limits) *int32 { return l.BackoffFactorPercent }))
	most := pick(l, func(l *logv1.Limits) *int64 { return l.BackoffMostMs })
	delay := min(first, most)
	for i := int32(1); i < j.Charged && delay < most && i < 1024; i++ {
		if delay > most/factor*100+100 {
			return most
		}
		delay = min(delay*factor/100, most)
	}
	return delay
}
