package mesh

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/sim/invariant"
)

const (
	webUsers   = 6
	talkUsers  = 1
	meanPause  = 320 * time.Millisecond
	gracePause = 2 * time.Millisecond
)

// user asks, waits for the answer, pauses and asks again.
type user struct {
	w    *world
	name string
	rng  *rand.Rand
	out  *outlet
	id   string
	talk bool
	big  int // one body in so many is large
}

// begin makes users come.
func (w *world) begin() {
	for i := range webUsers + talkUsers {
		u := &user{w: w, name: fmt.Sprintf("user %d", i), id: idOf("web"), talk: i >= webUsers, big: 12}
		u.rng = w.net.Rand(u.name)
		u.out = &outlet{w: w, host: w.edge.host, port: proxyPort, rng: u.rng}
		switch {
		case u.talk:
			u.id = idOf("batch")
		case i%3 == 1:
			u.out.port, u.out.service = frontPort, true
		case i%3 == 2:
			u.out.port, u.id = batchPort, idOf("batch")
		}
		w.net.After(between(u.rng, 1, 300*time.Millisecond), u.turn)
	}
}

func (u *user) turn() {
	now := u.w.net.Now()
	switch {
	case u.w.quiet: // that was it
	case now < u.w.pause:
		u.w.net.After(u.w.pause-now+between(u.rng, 1, meanPause), u.turn)
	case u.talk:
		u.converse()
	default:
		u.ask()
	}
}

func (u *user) later() {
	u.w.net.After(gracePause+between(u.rng, 1, 2*meanPause), u.turn)
}

// size draws the length of a body.
func (u *user) size() int {
	switch {
	case u.rng.IntN(4) == 0:
		return 0
	case u.w.bulk && u.rng.IntN(u.big) == 0:
		return u.rng.IntN(2_000_000)
	case u.rng.IntN(u.big) == 0:
		return u.rng.IntN(200_000)
	}
	return u.rng.IntN(3000)
}

func (u *user) ask() {
	a := &ask{Request: &invariant.Request{Method: "GET", Service: "front", Caller: u.id, Proxy: u.w.edge.host.Name, Download: u.size()}, done: u.later}
	if !u.out.service {
		switch u.rng.IntN(6) {
		case 0:
			a.Service = "stock"
		case 1:
			a.Service = "cart"
		}
	}
	a.Private = u.rng.IntN(5) == 0 && a.Service != "stock"
	if u.rng.IntN(3) == 0 {
		a.Method = "POST"
		if a.Upload = u.size(); u.rng.IntN(2) == 0 && a.Upload > 0 {
			a.chunked = true
		}
	}
	a.slow = u.rng.IntN(12) == 0
	if u.rng.IntN(20) == 0 {
		a.giveUp = between(u.rng, 1, 30*time.Millisecond)
	}
	u.w.number(a)
	u.out.send(a)
	if u.rng.IntN(12) == 0 {
		u.w.rush(u.w.services[a.Service])
	}
}

func (u *user) converse() {
	c := &conversation{w: u.w, rng: u.rng, connect: u.rng.IntN(2) == 0, slow: u.rng.IntN(8) == 0}
	c.done = func() {
		u.w.tell(c.r)
		u.later()
	}
	c.r = &invariant.Request{Method: "TCP", Service: "talk", Caller: u.id, Proxy: u.w.edge.host.Name, Upload: u.size(), Download: u.size()}
	u.w.watch.Begin(c.r)
	c.start(u.w.edge.host)
}

// number numbers a request, and makes what its outcome shows be noted.
func (w *world) number(a *ask) {
	a.Excused = w.surprises > 0 && !a.Repeatable()
	w.watch.Begin(a.Request)
	if at, ok := w.drained[a.Service]; ok {
		w.saw(invariant.DrainRaced, w.net.Now()-at < 2*time.Millisecond)
	}
	version, done := w.services[a.Service].version, a.done
	a.done = func() {
		r := a.Request
		w.tell(r)
		w.saw(invariant.ChangedMidway, r.Executed > 0 && w.services[r.Service].version != version)
		w.saw(invariant.PolicyRefused, r.Code == "W3202")
		w.saw(invariant.NotRetried, r.Code == "W3306" && !r.Repeatable() && r.Executed == 1)
		w.saw(invariant.TriesUsedUp, r.Code == "W3305")
		w.saw(invariant.IdentityRefused, r.Code == "W3310")
		w.saw(invariant.FirstContact, r.Code == "W3303")
		w.saw(invariant.ServedOffline, r.Succeeded() && w.outage)
		done()
	}
}

// tell puts a request that has not succeeded into the story.
func (w *world) tell(r *invariant.Request) {
	if !r.Succeeded() {
		w.net.Note("%v", r)
	}
}
