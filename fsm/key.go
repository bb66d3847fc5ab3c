package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// keyLife is how long an idempotency key is kept, in milliseconds. It outlives its job.
const keyLife = 24 * 60 * 60 * 1000

// keyOf is the name of the key in the table: a key belongs to its user. Neither holds a NUL.
func keyOf(n *logv1.NewJob) string {
	if n.GetIdempotencyKey() == "" {
		return ""
	}
	return n.GetUser() + "\x00" + n.GetIdempotencyKey()
}

func keyBytes(id string) int64 {
	if id == "" {
		return 0
	}
	return 256 + 2*int64(len(id))
}

func keyReused(n *logv1.NewJob) *logv1.Refusal {
	return refuse(logv1.Reason_REASON_KEY_REUSED, "key", n.GetIdempotencyKey(), "user", n.GetUser())
}

func (m *Machine) addKey(n *logv1.NewJob, hash []byte, job uint64) {
	id := keyOf(n)
	m.keys.Set(id, &logv1.KeyRecord{User: n.GetUser(), Key: n.GetIdempotencyKey(), Hash: hash, Job: job, MadeMs: m.wall})
	m.keyEnds.Set(nameStamp{later(m.wall, keyLife), id})
	m.bytes += keyBytes(id)
}

func (m *Machine) dropKey(end nameStamp) {
	m.keyEnds.Delete(end)
	m.keys.Delete(end.name)
	m.bytes -= keyBytes(end.name)
}
