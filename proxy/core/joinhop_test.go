package core

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"github.com/weft-mesh/weft/test/allocs"
)

// hopJoin is a tunnel between two workloads of one core, and a driver that joins what it is asked to.
type hopJoin struct {
	*rig
	h           *joinHost
	client, app *pipe
	down, up    *Conn // the core's ends towards them
}

func newHopJoin(t testing.TB, slow bool) *hopJoin {
	t.Helper()
	j := &hopJoin{rig: newNodeRig(t, tcpService(), Limits{})}
	j.mute, j.slow = true, slow
	j.h = &joinHost{host: j.rig.client, takes: true}
	j.rig.client.core.host = j.h
	return j
}

// open makes the tunnel, with first as its first bytes, and waits until it is joined.
func (j *hopJoin) open(first []byte) *hopJoin {
	j.t.Helper()
	j.client = j.dial()
	j.client.send(first)
	j.settle()
	return j.find()
}

func (j *hopJoin) find() *hopJoin {
	j.t.Helper()
	if len(j.h.asked) != 1 || j.h.wrong > 0 || j.links > 0 {
		j.t.Fatalf("asked %d times to join, %d times in vain; %d links", len(j.h.asked), j.h.wrong, j.links)
	}
	j.down, j.up = j.h.asked[0][0], j.h.asked[0][1]
	if !j.down.accepted {
		j.down, j.up = j.up, j.down
	}
	j.app = j.appEnd().other
	return j
}

func (j *hopJoin) core() *Core { return j.rig.client.core }

// mustBeOver fails if anything is left of the tunnel, or if it was not counted once at each end with
// these bytes.
func (j *hopJoin) mustBeOver(sent, got uint64) {
	j.t.Helper()
	j.settle()
	if l := j.core().leftovers(); len(l) > 0 || j.core().Busy() {
		j.t.Errorf("%q, busy %v", l, j.core().Busy())
	}
	n := 0
	count := func(s *telemetry.Series) {
		n++
		if !s.Key.Local || s.Key.Protocol != model.ProtocolTCP || s.Opened.Load() != 1 || s.Sent.Load() != sent || s.Received.Load() != got {
			j.t.Errorf("%+v: %d tunnels, %d and %d bytes, want one of %d and %d", s.Key, s.Opened.Load(), s.Sent.Load(), s.Received.Load(), sent, got)
		}
	}
	for _, s := range j.core().series {
		count(s)
	}
	for _, s := range j.core().inboundSeries {
		count(s)
	}
	if n != 2 {
		j.t.Errorf("counted at %d ends, want 2", n)
	}
}

func tcpService() *model.Service {
	return &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolTCP}}}
}

// Each end passes what the driver moves to both exchanges, and the ends of its directions through
// them, whichever ends first.
func TestATunnelOverAHopIsJoinedAndEndsInAnyOrder(t *testing.T) {
	for _, slow := range []bool{false, true} {
		for _, appFirst := range []bool{false, true} {
			j := newHopJoin(t, slow).open(bytes.Repeat([]byte{0xff}, 5000))
			if !bytes.Equal(j.heard, bytes.Repeat([]byte{0xff}, 5000)) {
				t.Errorf("slow %v: the application heard %d bytes of 5000", slow, len(j.heard))
			}
			c := j.core()
			c.Moved(j.down, j.up, 100)
			c.Moved(j.up, j.down, 7)
			first, other, end, otherEnd := j.down, j.up, j.app, j.client
			if appFirst {
				first, other, end, otherEnd = j.up, j.down, j.client, j.app
			}
			c.EOF(first)
			j.settle()
			if !end.eof || otherEnd.eof {
				t.Errorf("slow %v, application first %v: the end was passed on %v, to the other direction %v", slow, appFirst, end.eof, otherEnd.eof)
			}
			c.Moved(other, first, 20)
			j.settle()
			if j.down.Gone() || j.up.Gone() {
				t.Errorf("slow %v, application first %v: one end ended the whole", slow, appFirst)
			}
			c.EOF(other)
			j.settle()
			if !otherEnd.eof {
				t.Errorf("slow %v, application first %v: the second end was not passed on", slow, appFirst)
			}
			if appFirst {
				j.mustBeOver(5120, 7)
			} else {
				j.mustBeOver(5100, 27)
			}
		}
	}
}

func TestAResetOfOneEndOfAJoinedHopResetsTheOther(t *testing.T) {
	for _, app := range []bool{false, true} {
		j := newHopJoin(t, false).open([]byte("\xffhello"))
		broken, other := j.down, j.up
		if app {
			broken, other = j.up, j.down
		}
		j.core().Moved(j.up, j.down, 3)
		j.core().Closed(broken, errShed)
		if !other.Gone() || !slices.Equal(j.h.reset, []*Conn{other}) {
			t.Errorf("the application's %v: the other is gone %v, reset were %d", app, other.Gone(), len(j.h.reset))
		}
		j.mustBeOver(6, 3)
	}
}

// What waits in the core for a slow reader would be overtaken by what the driver carries.
func TestAHopIsNotJoinedWhileAReaderIsBehind(t *testing.T) {
	for i := range 4 {
		app, size := i%2 == 1, 40<<10 // which is little enough for the other to be read on
		if i >= 2 {
			size = 200 << 10
		}
		j := newHopJoin(t, false)
		j.h.stall = app
		j.client = j.dial()
		behind := j.client.other
		if app {
			j.client.send(bytes.Repeat([]byte{0xff}, size))
			j.settle()
			behind = j.appEnd()
		} else { // it is silent, and its server speaks first
			behind.stalled = true
			j.settle()
			j.appEnd().other.send(bytes.Repeat([]byte{0xff}, size))
			j.settle()
		}
		j.client.send([]byte("to one that keeps up, or not"))
		j.appEnd().other.send([]byte("the same"))
		j.settle()
		if behind.queued < size || len(j.h.asked) > 0 {
			t.Errorf("application %v: %d bytes of %d wait, and the driver was asked to join %d times", app, behind.queued, size, len(j.h.asked))
		}
		behind.release()
		j.settle()
		j.find()
	}
}

// A server that speaks first settles what a silent client's connection is; from then on it is as any.
func TestASpeculativeTunnelOverAHopIsJoinedOnceItIsSettled(t *testing.T) {
	j := newHopJoin(t, false)
	j.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80}}}, rigEndpoint)
	j.client = j.dial()
	j.pass(10*time.Millisecond, 100*time.Microsecond)
	if len(j.h.asked) > 0 {
		t.Fatal("asked to join what nobody has spoken on")
	}
	j.appEnd().other.send([]byte("220 ready\r\n"))
	j.settle()
	j.find()
	if string(j.client.in) != "220 ready\r\n" {
		t.Errorf("the client heard %q", j.client.in)
	}
	j.core().EOF(j.down)
	j.core().EOF(j.up)
	j.mustBeOver(0, 11)
}

// Silence is noticed once one direction has ended, and what moves in the other is none.
func TestAHalfOpenJoinedHopEndsAfterSilence(t *testing.T) {
	j := newHopJoin(t, false).open([]byte("\xff"))
	j.pass(20*time.Minute, 10*time.Second)
	if j.down.Gone() {
		t.Fatal("a silent tunnel was ended")
	}
	j.core().EOF(j.down)
	for range 4 {
		j.pass(4*time.Minute, 10*time.Second)
		j.core().Moved(j.up, j.down, 1)
	}
	if j.settle(); j.down.Gone() || j.up.Gone() {
		t.Fatal("it was ended while bytes moved")
	}
	j.pass(6*time.Minute, 10*time.Second)
	if len(j.h.reset) != 2 {
		t.Errorf("%d connections were reset after silence, want both", len(j.h.reset))
	}
	j.mustBeOver(1, 4)
}

// A draining workload keeps the tunnels that it has and gets no more; the process waits for them.
func TestAJoinedHopOutlivesTheDrainingOfItsWorkloads(t *testing.T) {
	j := newHopJoin(t, false).open([]byte("\xff"))
	j.core().DrainWorkload(1)
	late := j.dial()
	late.send([]byte("\xfflate"))
	j.settle()
	if !late.other.gone || len(j.h.reset) != 1 {
		t.Errorf("a new tunnel to a draining workload: gone %v, %d reset", late.other.gone, len(j.h.reset))
	}
	j.core().DrainWorkload(0)
	j.core().Drain()
	j.pass(time.Minute, time.Second)
	if !j.core().Busy() || j.down.Gone() || j.up.Gone() {
		t.Fatal("draining cut a tunnel that was under way")
	}
	j.core().Moved(j.down, j.up, 10)
	j.core().EOF(j.down)
	j.core().EOF(j.up)
	j.settle()
	if j.core().Busy() || !j.down.Gone() || !j.up.Gone() {
		t.Error("it is busy after the tunnel's end")
	}
	if len(j.h.asked) != 1 {
		t.Errorf("asked %d times", len(j.h.asked))
	}
}

// What is no pair of plain connections passes the core, though it is a tunnel.
func TestAnUpgradeOverAHopIsNotJoined(t *testing.T) {
	j := newHopJoin(t, false)
	j.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, rigEndpoint)
	j.mute = false
	j.answer = []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello")
	got := j.ask("GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
	if !bytes.HasSuffix([]byte(got), []byte("\r\n\r\nhello")) || len(j.h.asked) > 0 {
		t.Errorf("%q, asked %d times", got, len(j.h.asked))
	}
}

func TestCountingWhatAJoinedHopMovesAllocatesNothing(t *testing.T) {
	j := newHopJoin(t, false).open([]byte("\xff"))
	c := j.core()
	allocs.None(t, 1000, func() {
		c.Moved(j.down, j.up, 65)
		c.Moved(j.up, j.down, 65)
		c.Flush()
	})
}
