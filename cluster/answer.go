package cluster

import "fmt"

// abandon a command whose caller left: its answer if there is one, else what is known of its outcome.
func (l *leadership) abandon(p *pending, cause error) answer {
	l.mu.Lock()
	defer l.unlock()
	if p.where == isAnswered {
		<-p.answered
		return p.outcome
	}
	return l.drop(p, cause)
}

// drop an unanswered command whose caller left. The caller holds mu.
func (l *leadership) drop(p *pending, cause error) answer {
	switch p.where {
	case inFlight:
		p.waits = false // an empty answer of it must not be parked
		return answer{err: fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)}
	case isParked:
		l.unpark(p)
	case isWoken:
		l.passOn(p.wish)
		if p.first {
			l.open(p.lane())
		}
	}
	l.answer(p, answer{err: cause})
	return answer{err: cause}
}

// answer the caller, once. The caller holds mu.
func (l *leadership) answer(p *pending, a answer) {
	if p.where == isAnswered {
		return
	}
	p.where = isAnswered
	if p.ticket != nil {
		p.ticket.line.deliver(p.ticket, a)
		return
	}
	p.outcome = a
	p.answered <- struct{}{}
}
