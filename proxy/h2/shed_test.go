package h2

import (
	"errors"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
)

// unread is a connection with streams whose answers wait for a window, the ith with i+1 KiB.
func unread(t *testing.T, streams int) (*Conn, *victim) {
	t.Helper()
	v := &victim{answer: true}
	var out []byte
	c := NewConn(Config{}, v, &out)
	c.SetNow(time.Unix(1e9, 0))
	a := newAttacker()
	in := append([]byte(preface), a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 0))...)
	if err := c.Feed(in); err != nil {
		t.Fatal(err)
	}
	for i := range streams {
		v.body = make([]byte, (i+1)<<10)
		if err := c.Feed(a.open(flagEndStream)); err != nil {
			t.Fatal(err)
		}
	}
	return c, v
}

func TestWhatWaitsIsCountedAsItComesAndGoes(t *testing.T) {
	c, _ := unread(t, 10)
	if got, want := c.Queued(), 55<<10; got != want {
		t.Fatalf("%d octets wait, want %d", got, want)
	}
	a := newAttacker()
	for _, step := range []struct {
		what string
		p    []byte
		want int
	}{
		{"a window for a part of one", appendWindowUpdate(nil, 19, 4096), 51 << 10},
		{"a window for all of another", appendWindowUpdate(nil, 1, 1024), 50 << 10},
		{"a reset", appendRST(nil, 3, Cancel), 48 << 10},
		{"windows for all", a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 1<<20)), 0},
	} {
		if err := c.Feed(step.p); err != nil {
			t.Fatal(err)
		}
		if c.Queued() != step.want {
			t.Errorf("after %s %d octets wait, want %d", step.what, c.Queued(), step.want)
		}
	}
}

func TestSheddingTakesTheStreamsOnWhichMostWaits(t *testing.T) {
	c, _ := unread(t, 10)
	held := c.Held()
	if freed := c.Shed(30 << 10); freed < 30<<10 || c.Held() != held-freed {
		t.Errorf("%d octets were freed, %d of %d are held", freed, c.Held(), held)
	}
	for id := uint32(1); id <= 7; id += 2 { // with up to 4 KiB, where others have 10
		if c.streams.get(id) == nil {
			t.Errorf("stream %d has lost, on which little waits", id)
		}
	}
	c.Shed(1 << 30)
	if c.Queued() != 0 || c.Held() != 0 || c.Streams() != 0 || c.Err() != nil {
		t.Errorf("%d octets on %d streams wait: %v", c.Queued(), c.Streams(), c.Err())
	}
}

func TestAPeerThatMakesUsShedManyStreamsLosesTheConnection(t *testing.T) {
	v := &victim{answer: true, body: make([]byte, 1000)}
	var out []byte
	c := NewConn(Config{}, v, &out)
	c.SetNow(time.Unix(1e9, 0))
	a := newAttacker()
	err := c.Feed(append([]byte(preface), a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 0))...))
	for range 10 {
		for range 100 {
			if err == nil {
				err = c.Feed(a.open(flagEndStream))
			}
		}
		c.Shed(1 << 30)
	}
	var ce *ConnError
	if err = c.Err(); !errors.As(err, &ce) || ce.Code != EnhanceYourCalm {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsKeptForUseAgainIsBounded: buffers of streams that waited must not stay with every
// connection that ever had any.
func TestWhatIsKeptForUseAgainIsBounded(t *testing.T) {
	c, v := unread(t, 100)
	v.body = make([]byte, 100<<10)
	a := newAttacker()
	a.id = 201
	for range 100 {
		if err := c.Feed(a.open(flagEndStream)); err != nil {
			t.Fatal(err)
		}
	}
	if c.Held() < c.Queued() {
		t.Errorf("%d octets wait in memory for %d", c.Queued(), c.Held())
	}
	kept := func() (n int) {
		for _, q := range c.spare {
			n += cap(q)
		}
		return n
	}
	for id := uint32(1); id < 399; id += 2 {
		if s := c.streams.get(id); s != nil {
			s.Reset(Cancel)
		}
		if n := kept(); n > maxKept {
			t.Fatalf("%d octets are kept, the bound is %d", n, maxKept)
		}
	}
	c.streams.get(399).Reset(Cancel)
	if n := kept(); n > maxKeptIdle {
		t.Errorf("%d octets are kept with no stream open", n)
	}
	c.Shrink()
	if kept() != 0 || c.Held() != 0 || c.free != nil {
		t.Errorf("a silent connection keeps %d octets and %d streams", kept(), len(c.free))
	}
}

// TestAConnectionGoesOnAfterShrinking: the compression tables stay in step.
func TestAConnectionGoesOnAfterShrinking(t *testing.T) {
	client, server, out, back, v := pairOnLink(t, Limits{})
	v.answer = true
	for i := range 20 {
		s, err := client.Open(&message.Request{Method: []byte("GET"), Path: []byte("/the/same"), Authority: []byte("the.same.example"), ContentLength: -1}, true)
		if err != nil {
			t.Fatal(err)
		}
		ferry(t, client, server, out, back)
		s.Release()
		if i%5 == 4 {
			client.Shrink()
			server.Shrink()
		}
	}
	if v.begun != 20 {
		t.Errorf("%d requests of 20", v.begun)
	}
}
