package fsm

import (
	"crypto/sha256"
	"strconv"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostOpen is how many numbers of a session may be unanswered.
const mostOpen = 1024

// answer is the stored answer to one number of a session. Its key lies in the tree itself, so that a search reads no other memory.
type answer struct {
	session, number uint64
	*reply
}

func answerLess(a, b answer) bool {
	return a.session < b.session || a.session == b.session && a.number < b.number
}

// answerBytes is what a stored answer holds alive.
func answerBytes(res *logv1.Result) int64 {
	n := int64(256)
	claim := res.GetClaim()
	if f := res.GetFinish(); f != nil {
		claim = f.GetNext()
	}
	if j := claim.GetJob(); j != nil {
		n += jobBytes(j)
	}
	return n + 16*int64(len(res.GetEnqueue().GetOutcomes())) + 128*int64(len(res.GetMany().GetOutcomes()))
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// mostScratch is how many bytes of room for encoding are kept between two commands.
const mostScratch = 64 << 10

func (m *Machine) hashOf(msg proto.Message) digest {
	data, err := deterministic.MarshalAppend(m.scratch[:0], msg)
	if err != nil {
		panic("broken invariant: a message of the log cannot be encoded: " + err.Error())
	}
	return m.sum(data)
}

// sum of what was encoded into the scratch room.
func (m *Machine) sum(data []byte) digest {
	if cap(data) <= mostScratch {
		m.scratch = data[:0]
	}
	return sha256.Sum256(data)
}

// commandHash tells a repeated command from another one. What the leader computes for each attempt, like a draw, is left out.
func (m *Machine) commandHash(c *logv1.Command) digest {
	if data, ok := appendCommand(m.scratch[:0], c); ok {
		return m.sum(data)
	}
	asked := &logv1.Command{Op: c.GetOp()}
	switch op := c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		asked.Op = &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: op.PutSchedule.GetSchedule(),
			ExpectedRevision: op.PutSchedule.GetExpectedRevision()}}
	case *logv1.Command_ResumeSchedule:
		asked.Op = &logv1.Command_ResumeSchedule{ResumeSchedule: &logv1.ResumeSchedule{Name: op.ResumeSchedule.GetName()}}
	case *logv1.Command_BackfillSchedule:
		asked.Op = &logv1.Command_BackfillSchedule{BackfillSchedule: &logv1.BackfillSchedule{Name: op.BackfillSchedule.GetName(),
			FromMs: op.BackfillSchedule.GetFromMs(), ToMs: op.BackfillSchedule.GetToMs()}}
	}
	return m.hashOf(asked)
}

// isOutdated: the leader computed the command from something that is not there any more. It computes again and sends it under the same number, so
// this is no answer of the call.
func isOutdated(r *logv1.Refusal) bool {
	if r.GetReason() != logv1.Reason_REASON_STALE_REVISION {
		return false
	}
	for _, p := range r.GetParams() {
		if p.GetKey() == paramComputedFrom {
			return true
		}
	}
	return false
}

// repeated finds the stored answer of a number, or says why the call is refused; neither: it runs. The lowest number only rises, and the
// answers below it go.
func (m *Machine) repeated(r *logv1.Repeat, hash *digest) (*reply, *logv1.Refusal) {
	if _, refusal := m.touch(r.GetSession()); refusal != nil {
		return nil, refusal
	}
	p, _ := m.pulses.Get(r.GetSession())
	if r.GetLowest() > p.lowest {
		from := p.lowest
		p.lowest = r.GetLowest()
		m.pulses.Set(r.GetSession(), p)
		m.dropBelow(r.GetSession(), from, p.lowest)
	}
	if r.GetNumber() < p.lowest {
		return nil, refuse(logv1.Reason_REASON_TOO_OLD, "number", number(r.GetNumber()), "lowest", number(p.lowest))
	}
	if a, ok := m.answers.Get(answer{session: r.GetSession(), number: r.GetNumber()}); ok {
		if a.hash != *hash {
			return nil, refuse(logv1.Reason_REASON_NUMBER_REUSED, "number", number(r.GetNumber()))
		}
		return a.reply, nil
	}
	if r.GetNumber()-p.lowest >= mostOpen {
		return nil, refuse(logv1.Reason_REASON_TOO_MANY_OPEN, "number", number(r.GetNumber()), "lowest", number(p.lowest), "most", strconv.Itoa(mostOpen))
	}
	return nil, nil
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// storeAnswer keeps the answer, unless the command ended its own session.
func (m *Machine) storeAnswer(r *logv1.Repeat, hash *digest, res *reply) {
	if _, ok := m.sessions.Get(r.GetSession()); !ok {
		return
	}
	res.hash, res.bytes = *hash, answerBytes(res.result)
	m.answers.Set(answer{r.GetSession(), r.GetNumber(), res})
	m.bytes += res.bytes
}

// Answered reports whether a call with this number would get a stored answer (or a refusal, if another call had it).
func (m *Machine) Answered(s SessionID, number uint64) bool {
	_, ok := m.answers.Get(answer{session: uint64(s), number: number})
	return ok
}

// uncount a reply that is no longer stored.
func (m *Machine) uncount(r *reply) {
	m.bytes -= r.bytes
	if r.open { // its claim part must not count it again
		r.bytes = 0
	}
}

// mostOneByOne is how many answers are looked for by their numbers, one after the other.
const mostOneByOne = 8

// dropBelow forgets the answers of a session when its lowest number rises: there are none below the one that it was before.
func (m *Machine) dropBelow(session, from, lowest uint64) {
	if lowest-from > mostOneByOne {
		m.dropAnswers(session, lowest)
		return
	}
	for number := from; number < lowest; number++ {
		if a, ok := m.answers.Delete(answer{session: session, number: number}); ok {
			m.uncount(a.reply)
		}
	}
}

// dropAnswers forgets the answers of a session to numbers below lowest.
func (m *Machine) dropAnswers(session, lowest uint64) {
	var gone []answer
	m.answers.Ascend(answer{session: session}, func(a answer) bool {
		if a.session != session || a.number >= lowest {
			return false
		}
		gone = append(gone, a)
		return true
	})
	for _, a := range gone {
		m.answers.Delete(a)
		m.uncount(a.reply)
	}
}
