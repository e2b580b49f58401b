package core

import (
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/ratelimit"
)

var (
	failRate       = failure{429, "W3325", "http_request_denied", "the caller asks more often than it may"}
	failGlobalRate = failure{429, "W3326", "http_request_denied", "the callers together ask more often than they may"}
	failRateAway   = failure{503, "W3327", "http_request_denied", "the rate limit service did not answer, and the policy denies then"}
)

// codeRateOpen is of a request that passed because the rate limit service did not answer.
const codeRateOpen = "W3328"

// maxAsked bounds the questions to rate limit services that a loop has under way.
const maxAsked = 1000

// LimitQuery is a question to the service that keeps a global rate limit.
type LimitQuery struct {
	Limit *model.RateLimit
	Value string // of the caller's identity or header field; "" if all are counted together
}

// LimitAnswer is what it said.
type LimitAnswer uint8

// The answers.
const (
	LimitPass  LimitAnswer = iota // below the limit
	LimitOver                     // above
	LimitError                    // it could not be asked, or not in time
)

// Question is what LimitAnswered is told about. The driver hands it back, and does nothing else with it.
type Question struct {
	x       *exchange // nil: nobody waits any more
	pending int
	answer  LimitAnswer
	wait    time.Duration
	limit   *model.RateLimit // that it was above, or that was not answered
}

// checkRates asks the rate limits of the port. It reports whether the request may go on at once;
// otherwise it was refused, or waits for an answer of a service.
func (x *exchange) checkRates(r *message.Request) bool {
	c, set := x.core, x.door.rates
	s := &c.rates
	q := ratelimit.Request{Caller: x.peer, Fields: r.Fields, Query: &s.query}
	if set.WantsPath() { // a peer may write one path in many ways
		head := *r
		if err := decide.Canonicalize(&s.canon, &head); err != nil {
			x.refuseAmbiguous(err)
			return false
		}
		q.Host, q.Path = s.canon.Host, s.canon.Path
	}
	no, ok := set.Take(c.now, &q)
	if !ok {
		x.retryAfter, x.limited = no.Wait, no.Limit.Name
		f := failRate
		f.text += " (" + no.Limit.Name + ")"
		x.fail(f)
		return false
	}
	if !set.HasGlobal() {
		return true
	}
	return x.askRates(&q, r)
}

// askRates asks the services that keep global limits.
func (x *exchange) askRates(q *ratelimit.Request, r *message.Request) bool {
	c := x.core
	var asked []LimitQuery
	x.door.rates.Global(q, func(l *model.RateLimit, value string) { asked = append(asked, LimitQuery{l, value}) })
	if len(asked) == 0 {
		return true
	}
	if c.asked >= maxAsked {
		for i := range asked {
			if asked[i].Limit.Global.Deny {
				x.fail(failRateAway)
				return false
			}
		}
		c.shard.Refused(codeRateOpen)
		return true
	}
	x.park(r, false)
	x.question = &Question{x: x, pending: len(asked)}
	c.asked += len(asked)
	for _, a := range asked {
		c.host.AskLimit(x.question, a)
	}
	return false
}

// LimitAnswered tells the answer to a question of Host.AskLimit; above the limit, also how long to
// wait, if that is known.
func (c *Core) LimitAnswered(q *Question, about LimitQuery, a LimitAnswer, wait time.Duration) {
	c.asked--
	q.pending--
	x := q.x
	if x == nil || x.finished {
		return
	}
	switch {
	case a == LimitOver && q.answer != LimitOver, a == LimitError && about.Limit.Global.Deny && q.answer == LimitPass:
		q.answer, q.limit, q.wait = a, about.Limit, wait
	case a == LimitError && !about.Limit.Global.Deny:
		c.shard.Refused(codeRateOpen)
		c.warn("a rate limit service does not answer; requests pass", "code", codeRateOpen, "limit", about.Limit.Name, "service", about.Limit.Global.Address)
	}
	if q.pending > 0 {
		return
	}
	x.question = nil
	switch q.answer {
	case LimitOver:
		x.retryAfter, x.limited = max(q.wait, time.Second), q.limit.Name
		f := failGlobalRate
		f.text += " (" + q.limit.Name + ")"
		x.fail(f)
	case LimitError:
		c.warn("a rate limit service does not answer; requests are refused", "code", failRateAway.code, "limit", q.limit.Name, "service", q.limit.Global.Address)
		x.fail(failRateAway)
	default:
		x.knock(&x.saved)
	}
}
