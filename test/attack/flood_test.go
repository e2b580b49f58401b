//go:build linux

package attack

import (
	"strings"
	"testing"
	"time"
)

// front is a place where an HTTP/2 attacker can connect.
type front struct {
	name    string
	streams int // that it permits at once
	rate    int // events a second that it lets pass for ever, the largest of the limits in proxy/h2
	victim  *program
	dial    func(t testing.TB) *h2conn
	to      []string // fields that every request there has
	backend interface {
		counts() (most, active, all int)
	}
}

// head is a plain request there.
func (f *front) head(path string, more ...string) []string {
	return append(append([]string{":method", "GET", ":scheme", "http", ":authority", "app", ":path", path}, f.to...), more...)
}

// fronts are the two: the caller's listener, where an application attacks its own proxy, and the
// callee's link, where a workload with a good certificate of the mesh attacks another's.
func fronts(t testing.TB) (*pair, []*front) {
	t.Helper()
	rec, h2 := newRecorder(t, nil), newH2Backend(t)
	rec.script = func(r *received, a *appConn) bool {
		if !strings.HasPrefix(r.target, "/hold") {
			return false
		}
		a.br.Peek(1) //nolint:errcheck // nothing more comes: it waits for the end
		a.done = true
		return true
	}
	x := newPair(t, rec.addr(), h2.addr(), "").warm()
	out := []*front{
		{name: "outbound", streams: 250, rate: 100, victim: x.caller, backend: h2,
			dial: func(t testing.TB) *h2conn { return newH2(t, dialFree(t, x.h2), settings()) }},
		{name: "link", streams: 1000, rate: 5000, victim: x.callee, backend: rec, to: []string{"weft-to", rec.addr()},
			dial: func(t testing.TB) *h2conn { return newH2(t, x.dialLink(t), settings()) }},
	}
	rec.mu.Lock()
	rec.limit = out[1].streams
	rec.mu.Unlock()
	return x, out
}

// attacker is what a flood's functions write with.
type attacker struct {
	f    *front
	next uint32 // stream
}

// open begins a stream whose request is never answered, and gives its id.
func (a *attacker) open(end bool, more ...string) (id uint32, s string) {
	id = a.next
	a.next += 2
	return id, headers(id, end, a.f.head("/hold", more...)...)
}

// flood is one row: what is sent first, and what is then sent again and again until the proxy has
// had enough. It must say so: GOAWAY with ENHANCE_YOUR_CALM.
type flood struct {
	name   string
	meet   func(h *h2conn) // what the attacker does before
	before func(a *attacker) string
	round  func(a *attacker, i int) string
	rounds int  // after which it must be over; more are not sent
	events int  // frames of a round that count; default 1
	deaf   bool // no windows are given, nothing is acknowledged
}

// Bounds of one flood.
const (
	maxGrowth = 64 << 20        // resident memory of either proxy
	maxCPU    = 2 * time.Second // of the attacked proxy; it is over after some thousand frames at most
)

// attackH2 runs floods at both fronts of a pair and checks what holds for all: the attacker is
// disconnected and told why, its requests never were more than the streams permitted and are cancelled,
// memory and processor time are bounded, and connections beside it do not notice.
func attackH2(t *testing.T, floods []flood) {
	x, all := fronts(t)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			beside := f.dial(t) // an honest connection, open all the time
			for i := range floods {
				t.Run(floods[i].name, func(t *testing.T) { floods[i].run(t, x, f, beside) })
			}
		})
	}
}

func (fl *flood) run(t *testing.T, x *pair, f *front, beside *h2conn) {
	if f.to == nil { // the outbound front's are shorter, and say as much
		fl.seed(t, f)
	}
	if err := beside.fine(f.head("/before")...); err != nil {
		t.Fatalf("before the attack: %v", err)
	}
	rss, cpu := [2]int{x.caller.rss(t), x.callee.rss(t)}, f.victim.cpu(t)
	h := f.dial(t)
	h.barrier() // settings are exchanged: nothing of ours comes between the frames of the flood
	if fl.meet != nil {
		fl.meet(h)
	}
	h.starving.Store(fl.deaf)
	h.mute.Store(fl.deaf)
	a := &attacker{f: f, next: 1}
	var batch strings.Builder
	if fl.before != nil {
		batch.WriteString(fl.before(a))
	}
	sent, began := 0, time.Now()
	for ; sent < fl.rounds; sent++ {
		batch.WriteString(fl.round(a, sent))
		if batch.Len() >= 16<<10 || sent == fl.rounds-1 {
			if h.write(batch.String()) != nil {
				break
			}
			batch.Reset()
		}
	}
	if !fl.deaf && sent == fl.rounds && h.barrier() {
		// Still there. On a busy machine an attacker may be too slow to be one.
		if took := time.Since(began); float64(sent*max(fl.events, 1)) > took.Seconds()*float64(f.rate) {
			t.Errorf("%d rounds in %s, and the connection goes on", sent, took)
		}
		h.close()
	} else if code, why, err := h.end(patience); err != nil || code != codeCalm {
		t.Errorf("after %d rounds: code %d %q, %v; want ENHANCE_YOUR_CALM", sent, code, why, err)
	} else {
		t.Logf("over within %d rounds: %s", sent, why)
	}
	eventually(t, "the attacker's requests are cancelled", func() bool {
		_, active, _ := f.backend.counts()
		return active == 0
	})
	// Beside what is permitted, as many again may be cancelled ones of which a proxy has not told the
	// application yet: to tell at once would use up what the connection may cancel, which honest clients share.
	if most, _, _ := f.backend.counts(); most > 2*f.streams {
		t.Errorf("the application had %d requests at once, the limit of streams is %d", most, f.streams)
	}
	if err := beside.fine(f.head("/after")...); err != nil {
		t.Errorf("the connection beside it: %v", err)
	}
	if err := x.honestH1("/honest"); err != nil {
		t.Errorf("an honest client: %v", err)
	}
	for i, p := range []*program{x.caller, x.callee} {
		if grown := p.rss(t) - rss[i]; grown > maxGrowth {
			t.Errorf("%s grew by %d MiB", p.name, grown>>20)
		}
	}
	if used := f.victim.cpu(t) - cpu; used > maxCPU {
		t.Errorf("the proxy spent %s on it", used)
	}
}

// seed writes the beginning of a flood.
func (fl *flood) seed(t *testing.T, f *front) {
	a, frames := &attacker{f: f, next: 1}, settings()
	if fl.before != nil {
		frames += fl.before(a)
	}
	for i := range min(fl.rounds, 3) {
		frames += fl.round(a, i)
	}
	seedFrames(t, frames)
}
