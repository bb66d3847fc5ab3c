package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// A limit of a job is its own, else its queue's, else the cluster's. It is looked up when it is needed, so a change holds at once for all
// jobs that are not yet claimed; lease and run limit of a claim stay as they were at the claim.

func pick[T any](m *Machine, j *logv1.Job, field func(*logv1.Limits) *T) T {
	if j.Limits != nil {
		if v := field(j.Limits); v != nil {
			return *v
		}
	}
	if q, ok := m.queues.Get(j.Queue); ok {
		if l := q.GetSettings().GetLimits(); l != nil {
			if v := field(l); v != nil {
				return *v
			}
		}
	}
	return *field(m.settings.GetLimits())
}

func (m *Machine) leaseOf(j *logv1.Job) int64 {
	return pick(m, j, func(l *logv1.Limits) *int64 { return l.LeaseMs })
}

// heartbeatOf fits into the lease three times, also when the lease is the queue's and the heartbeat the cluster's.
func (m *Machine) heartbeatOf(j *logv1.Job) int64 {
	return min(pick(m, j, func(l *logv1.Limits) *int64 { return l.HeartbeatMs }), m.leaseOf(j)/heartbeatsInLease)
}

// heartbeatsInLease is how many heartbeats a lease is at least long.
const heartbeatsInLease = 3

func (m *Machine) maxAttempts(j *logv1.Job) int32 {
	return pick(m, j, func(l *logv1.Limits) *int32 { return l.MaxAttempts })
}

func (m *Machine) maxRunOf(j *logv1.Job) int64 {
	return pick(m, j, func(l *logv1.Limits) *int64 { return l.MaxRunMs })
}

func (m *Machine) windowOf(j *logv1.Job) int64 {
	return pick(m, j, func(l *logv1.Limits) *int64 { return l.ExclusionWindowMs })
}

func (m *Machine) onTimeout(j *logv1.Job) logv1.OnTimeout {
	return pick(m, j, func(l *logv1.Limits) *logv1.OnTimeout { return l.OnTimeout })
}

// backoff is the wait after the failure that is charged last: first x factor^(charged-1), at most the most. It stops at the most, or
// after as many steps as the attempts, and cannot overflow: the most is below 2^53 and the factor below 2^20, so the quotient goes first.
func (m *Machine) backoff(j *logv1.Job) int64 {
	first := pick(m, j, func(l *logv1.Limits) *int64 { return l.BackoffFirstMs })
	factor := int64(pick(m, j, func(l *logv1.Limits) *int32 { return l.BackoffFactorPercent }))
	most := pick(m, j, func(l *logv1.Limits) *int64 { return l.BackoffMostMs })
	delay := min(first, most)
	for i := int32(1); i < j.Charged && delay < most && i < 1024; i++ {
		if delay > most/factor*100+100 {
			return most
		}
		delay = min(delay*factor/100, most)
	}
	return delay
}
