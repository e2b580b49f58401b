package main

import (
	"fmt"
	"time"
)

// fault is what happens to a server.
type fault uint8

const (
	faultSlow      fault = iota // it takes slowTime
	faultTenfold                // it takes ten times as long as the others
	faultErrors                 // it answers 500, at once
	faultSwallowed              // the network drops everything to and from it
	faultGone                   // its listener is closed, and every connection reset
)

// scenario is a fault and whom it meets.
type scenario struct {
	name    string // of flags and files
	title   string
	servers int
	fault   fault
	all     bool // it meets all servers, else the first
	plain   bool // nothing is tried again and no try is cut short: it is about choosing alone
}

var scenarios = []scenario{
	{name: "slow", title: "one of 11 turns slow (2 s), nothing is tried again", servers: 11, fault: faultSlow, plain: true},
	{name: "blackhole", title: "one of 10 is swallowed by the network", servers: 10, fault: faultSwallowed},
	{name: "errors", title: "one of 10 answers 500", servers: 10, fault: faultErrors},
	{name: "tenfold", title: "one of 10 is ten times as slow", servers: 10, fault: faultTenfold},
	{name: "outage", title: "all 10 are gone, and come back", servers: 10, fault: faultGone, all: true},
}

// What a request takes and may take.
const (
	serviceBase = 2 * time.Millisecond // every request
	serviceMean = 3 * time.Millisecond // and so much more on average, exponentially distributed
	slowTime    = 2 * time.Second
	allowed     = time.Second            // after which an answer is of no use to the client
	tryTimeout  = 250 * time.Millisecond // of one try; not in plain scenarios
	retries     = 2                      // tries after the first; not in plain scenarios
)

// times are how long the parts of a scenario last.
type times struct{ before, during, after time.Duration }

func (t times) total() time.Duration { return t.before + t.during + t.after }

// timesIn divides the time that one peer has in one scenario.
func timesIn(d time.Duration) times {
	d = d.Truncate(time.Second)
	before := (d / 4).Truncate(time.Second)
	after := (d * 3 / 10).Truncate(time.Second)
	return times{before: max(before, time.Second), during: max(d-before-after, 2*time.Second), after: max(after, 2*time.Second)}
}

// scenarioNamed gives a scenario by name.
func scenarioNamed(name string) (scenario, error) {
	for _, s := range scenarios {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("no scenario is called %q", name)
}
