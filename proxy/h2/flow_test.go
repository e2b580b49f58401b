package h2

import (
	"bytes"
	"testing"

	"github.com/weft-mesh/weft/message"
)

func TestASlowReceiverStopsTheSenderAndNobodyElse(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{StreamWindow: 100 << 10, ConnWindow: 1 << 20})
	sv.hold = true
	slow := mustOpen(t, cl, post("/slow", -1), false)
	chunk := make([]byte, 10<<10)
	sent := 0
	for slow.Pending() == 0 {
		sent += len(chunk)
		if sent > 1<<20 {
			t.Fatal("no window stops the sender")
		}
		slow.Send(chunk, false)
		if err := exchange(cl, sv, 4096); err != nil {
			t.Fatal(err)
		}
	}
	if len(sv.body) != 100<<10 {
		t.Errorf("the receiver holds %d octets, its window is %d", len(sv.body), 100<<10)
	}
	// Another stream is not held up.
	sv.hold = false
	before := len(sv.body)
	fast := mustOpen(t, cl, post("/fast", -1), false)
	for range 100 {
		if fast.Send(chunk, false) > 0 {
			if err := exchange(cl, sv, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	fast.Send(nil, true)
	if err := exchange(cl, sv, 1<<20); err != nil {
		t.Fatal(err)
	}
	if got := len(sv.body) - before; got != 100*len(chunk) {
		t.Errorf("the other stream carried %d octets", got)
	}
	// Consuming lets the first go on, and tells its sender.
	slow.Send(make([]byte, 100<<10), false)
	cl.take()
	for range 8 {
		sv.streams[0].Consumed(64 << 10)
		if err := exchange(cl, sv, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if slow.Pending() != 0 {
		t.Errorf("%d octets still wait", slow.Pending())
	}
	if got := cl.take(); got != "writable 1" && got != "writable 1; writable 1" {
		t.Errorf("the sender was told %q", got)
	}
}

func TestConsumingMoreThanWasDeliveredGivesNoCredit(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{StreamWindow: 1000})
	s := mustOpen(t, cl, post("/", -1), false)
	s.Send(make([]byte, 10), false)
	if err := exchange(cl, sv, 1<<20); err != nil {
		t.Fatal(err)
	}
	sv.streams[0].Consumed(1 << 30)
	if len(sv.out) != 0 {
		t.Errorf("credit was given for what never came: %x", sv.out)
	}
}

func TestOutputThatIsNotEmptiedHoldsBodiesBack(t *testing.T) {
	cl, _ := pair(t, Config{MaxOutput: 64 << 10}, Config{StreamWindow: 1 << 24, ConnWindow: 1 << 24})
	s := mustOpen(t, cl, post("/", -1), false)
	for range 100 {
		s.Send(make([]byte, 10<<10), false)
	}
	if len(cl.out) > 64<<10+turnBytes+100 {
		t.Errorf("output has %d octets", len(cl.out))
	}
	if s.Pending() == 0 {
		t.Error("nothing waits")
	}
	for range 100 {
		cl.out = cl.out[:0]
		cl.c.Flushed()
	}
	if s.Pending() != 0 {
		t.Errorf("%d octets still wait although the output was emptied", s.Pending())
	}
}

func TestStreamsTakeTurns(t *testing.T) {
	cl, _ := pair(t, Config{MaxOutput: 4 << 20}, Config{StreamWindow: 1 << 24, ConnWindow: 65535})
	big := mustOpen(t, cl, post("/big", -1), false)
	big.Send(make([]byte, 1<<20), true) // uses up the window of the connection
	small := mustOpen(t, cl, post("/small", -1), false)
	small.Send([]byte("small"), true)
	if small.Pending() == 0 {
		t.Fatal("the small body went ahead of what waited before it")
	}
	cl.out = cl.out[:0]
	if err := cl.c.Feed(appendWindowUpdate(nil, 0, 1<<20)); err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(cl.out, []byte("small"))
	if len(first) > 16<<10+2*headerLen {
		t.Errorf("%d octets went before the small body: a large one held it up", len(first))
	}
	if big.Pending() != 0 || small.Pending() != 0 {
		t.Error("something still waits")
	}
}

func TestAnEndWaitsForItsBodyAndTrailersForTheEnd(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{StreamWindow: 65535})
	sv.hold = true
	s := mustOpen(t, cl, post("/", -1), false)
	body := bytes.Repeat([]byte("x"), 200000)
	s.Send(body, false)
	buf := []byte("trailer-value")
	s.SendTrailers([]message.Field{{Name: []byte("x-sum"), Value: buf}})
	copy(buf, "overwritten!!") // the caller's memory is its own again
	for range 20 {
		if err := exchange(cl, sv, 1<<20); err != nil {
			t.Fatal(err)
		}
		sv.streams[0].Consumed(1 << 20)
	}
	if !bytes.Equal(sv.body, body) {
		t.Errorf("%d octets arrived", len(sv.body))
	}
	if got := sv.take(); got != "request 1 POST cart /; trailers 1 x-sum=trailer-value" {
		t.Errorf("got %s", got)
	}
}

func TestAWindowThatShrinksBelowZeroIsObeyed(t *testing.T) {
	cl, _ := pair(t, Config{}, Config{})
	s := mustOpen(t, cl, post("/", -1), false)
	s.Send(make([]byte, 50000), false)
	feed := func(p []byte) {
		if err := cl.c.Feed(p); err != nil {
			t.Fatal(err)
		}
	}
	feed(settingsFrame(settingInitialWindowSize, 10000)) // 40,000 below zero
	cl.out = cl.out[:0]
	s.Send([]byte("wait"), true)
	feed(appendWindowUpdate(nil, s.ID, 40000))
	if s.Pending() != 4 {
		t.Fatal("sent with a window of zero")
	}
	feed(appendWindowUpdate(nil, s.ID, 4))
	if s.Pending() != 0 {
		t.Fatal("not sent although the window is open")
	}
}

func settingsFrame(id settingID, v uint32) []byte {
	return appendSetting(appendHeader(nil, 6, frameSettings, 0, 0), id, v)
}
