package fsm

import "slices"

// plan is what the jobs of an all-or-nothing command before this one would add. nil is the empty plan.
type plan struct {
	jobs, bytes   int64
	queues, users []string
	keys          []plannedKey
}

type plannedKey struct {
	id   string
	hash []byte
}

// planned is how much a plan holds.
type planned struct{ jobs, bytes, queues, users, keys int64 }

func (p *plan) numbers() planned {
	if p == nil {
		return planned{}
	}
	return planned{p.jobs, p.bytes, int64(len(p.queues)), int64(len(p.users)), int64(len(p.keys))}
}

func (p *plan) hasQueue(name string) bool { return p != nil && slices.Contains(p.queues, name) }

func (p *plan) hasUser(name string) bool { return p != nil && slices.Contains(p.users, name) }

// hashOfKey is that of the job that has the key; nil: none has.
func (p *plan) hashOfKey(id string) []byte {
	if p != nil {
		for _, k := range p.keys {
			if k.id == id {
				return k.hash
			}
		}
	}
	return nil
}

// add a job; queue and user count if they are new, the key if there is one.
func (p *plan) add(size int64, queue string, newQueue bool, user string, newUser bool, key plannedKey) {
	p.jobs++
	p.bytes += size
	if newQueue {
		p.queues = append(p.queues, queue)
	}
	if newUser {
		p.users = append(p.users, user)
	}
	if key.id != "" {
		p.keys = append(p.keys, key)
	}
}
