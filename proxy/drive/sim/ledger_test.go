package sim_test

import (
	"fmt"
	"strings"

	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// ask is one request, or one opaque conversation, and what became of it.
type ask struct {
	id       uint64
	method   string // TCP and GREET for opaque conversations
	service  string
	caller   string // identity
	upload   int    // bytes
	download int
	chunked  bool   // the request
	framing  string // of the response: length, chunked, close
	upgrade  bool
	early    bool   // the application answers before it has read all
	harm     string // what the application does instead of answering: "", abort, end, refuse

	sent      bool
	executed  int // times that an application got its head
	uploaded  int // bytes that an application got
	written   int // bytes of the response that an application wrote
	served    bool
	outcomes  int
	status    int
	code      string
	ended     string // how the connection ended, if that was the outcome
	abandoned bool   // the caller gave up
}

func (a *ask) String() string {
	return fmt.Sprintf("#%d %s %s up %d down %d %s upgrade=%v early=%v harm=%q: sent=%v executed=%d uploaded=%d status=%d %s ended=%q",
		a.id, a.method, a.service, a.upload, a.download, a.framing, a.upgrade, a.early, a.harm, a.sent, a.executed, a.uploaded, a.status, a.code, a.ended)
}

// ledger knows all requests and everything that should not have happened.
type ledger struct {
	net      *sim.Network
	asks     []*ask
	wrong    []string
	timeouts bool           // may pass
	tries    int            // that a request may have at most
	seen     map[string]int // codes, and what a run is to meet sometimes
}

func (l *ledger) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.net.Note("VIOLATION %s", text)
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, l.net.Now().String()+": "+text)
	}
}

func (l *ledger) add(a *ask) *ask {
	a.id = uint64(len(l.asks))
	l.asks = append(l.asks, a)
	return a
}

func (l *ledger) find(id uint64) *ask {
	if id >= uint64(len(l.asks)) {
		return nil
	}
	return l.asks[id]
}

// repeatable methods may reach applications more than once.
func repeatable(method string) bool { return method == "GET" || method == "HEAD" }

// execute: an application got the head of a request.
func (l *ledger) execute(a *ask, service, caller string) {
	a.executed++
	a.uploaded = 0
	switch {
	case a.service != service:
		l.violation("%v reached an application of %s", a, service)
	case a.caller != caller:
		l.violation("%v of %s came as %q", a, a.caller, caller)
	case a.executed > 1 && !repeatable(a.method):
		l.violation("%v was executed %d times", a, a.executed)
	case a.executed > l.tries:
		l.violation("%v was tried %d times", a, a.executed)
	}
	if a.executed > 1 {
		l.seen["retried"]++
	}
}

// answered: the caller got a whole response.
func (l *ledger) answered(a *ask, status int, code string) {
	a.outcomes++
	a.status, a.code = status, code
	l.seen[fmt.Sprintf("%d%s", status, code)]++
	switch {
	case a.outcomes > 1:
		l.violation("%v has %d outcomes", a, a.outcomes)
	case status < 300 && a.executed == 0:
		l.violation("%v was answered and never executed", a)
	case status >= 400 && code == "":
		l.violation("%v failed without a code", a)
	case status == 400 || code == "W3307" || code == "W3308" && !l.timeouts || code == "W3004":
		l.violation("%v: nobody gave a reason for %d %s", a, status, code)
	}
}

// lost: the caller's connection ended before a whole response.
func (l *ledger) lost(a *ask, how string) {
	a.outcomes++
	a.ended = how
	l.seen["lost "+strings.Fields(how)[0]]++
	if a.outcomes > 1 {
		l.violation("%v has %d outcomes", a, a.outcomes)
	}
}

// open counts requests without an outcome.
func (l *ledger) open() (n int, first *ask) {
	for _, a := range l.asks {
		if a.sent && a.outcomes == 0 {
			if n++; first == nil {
				first = a
			}
		}
	}
	return n, first
}
