package h2

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h2/hpack"
)

// attacker writes frames that no client of ours would.
type attacker struct {
	enc hpack.Encoder
	id  uint32
}

func newAttacker() *attacker {
	a := &attacker{id: 1}
	a.enc.Init(false, 4096)
	return a
}

func (a *attacker) frame(typ frameType, flags uint8, id uint32, payload []byte) []byte {
	return append(appendHeader(nil, len(payload), typ, flags, id), payload...)
}

// blockOf encodes a header block from name, value pairs.
func (a *attacker) blockOf(kv ...string) []byte {
	b := a.enc.Begin(nil)
	for i := 0; i < len(kv); i += 2 {
		b = a.enc.Append(b, []byte(kv[i]), []byte(kv[i+1]), false)
	}
	return b
}

var plainHead = []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"}

// open returns HEADERS on a new stream.
func (a *attacker) open(flags uint8, kv ...string) []byte {
	f := a.frame(frameHeaders, flags|flagEndHeaders, a.id, a.blockOf(append(plainHead, kv...)...))
	a.id += 2
	return f
}

func setting(id settingID, v uint32) []byte { return appendSetting(nil, id, v) }

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// victim is a server whose handler never answers and counts what it was made to begin.
type victim struct {
	quiet
	begun, active, most int
	answer              bool
	body                []byte
}

func (v *victim) OnRequest(s *Stream, _ *message.Request, _ bool) {
	v.begun++
	if !v.answer {
		v.active++
		v.most = max(v.most, v.active)
	} else {
		s.Respond(&message.Response{Status: 200, ContentLength: -1}, v.body == nil)
		if v.body != nil {
			s.Send(v.body, true)
		}
	}
}
func (v *victim) OnReset(s *Stream, _ ErrCode) { v.active--; s.Release() }

// attack is one row: what is sent first, and what is then sent again and again until the server
// has had enough.
type attack struct {
	name   string
	answer bool
	body   int // octets of each answer
	before func(a *attacker) []byte
	round  func(a *attacker, i int) []byte
	rounds int     // after which it must be over
	want   ErrCode // NoError: the connection lives, nothing grows
}

var attacks = []attack{
	{name: "rapid reset (CVE-2023-44487)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		f := a.open(flagEndStream)
		return append(f, appendRST(nil, a.id-2, Cancel)...)
	}},
	{name: "MadeYouReset by WINDOW_UPDATE of 0 (CVE-2025-8671)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), appendWindowUpdate(nil, a.id-2, 0)...)
	}},
	{name: "MadeYouReset by a window that overflows", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), appendWindowUpdate(nil, a.id-2, maxWindow)...)
	}},
	{name: "MadeYouReset by PRIORITY of wrong length", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), a.frame(framePriority, 0, a.id-2, []byte{0})...)
	}},
	{name: "MadeYouReset by PRIORITY on itself", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), a.frame(framePriority, 0, a.id-2, append(u32(a.id-2), 1))...)
	}},
	{name: "MadeYouReset by DATA after the end", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), a.frame(frameData, 0, a.id-2, []byte("x"))...)
	}},
	{name: "MadeYouReset by HEADERS after the end", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return append(a.open(flagEndStream), a.frame(frameHeaders, flagEndHeaders|flagEndStream, a.id-2, a.blockOf("x", "y"))...)
	}},
	{name: "malformed requests without end", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return a.open(flagEndStream, "Upper", "1")
	}},
	{name: "more streams than permitted", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return a.open(0) }},
	{name: "CONTINUATION without end (CVE-2023-45288)", rounds: 100, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return a.frame(frameHeaders, 0, 1, a.blockOf(plainHead...)) },
		round: func(a *attacker, _ int) []byte {
			return a.frame(frameContinuation, 0, 1, a.blockOf("x", strings.Repeat("y", 2000)))
		}},
	{name: "empty CONTINUATION without end", rounds: 1000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return a.frame(frameHeaders, 0, 1, a.blockOf(plainHead...)) },
		round:  func(a *attacker, _ int) []byte { return a.frame(frameContinuation, 0, 1, nil) }},
	{name: "HPACK bomb: a large entry referred to often", rounds: 1, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		block := append([]byte{0x40, 1, 'x', 0x7f, 0xa1, 0x1e}, make([]byte, 4000)...)
		for i := range block[6:] {
			block[6+i] = 'v'
		}
		return a.frame(frameHeaders, flagEndHeaders, 1, append(block, []byte(strings.Repeat("\xbe", 10000))...))
	}},
	{name: "HPACK bomb of cookie crumbs (CVE-2026-47774)", rounds: 1, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return a.frame(frameHeaders, flagEndHeaders, 1, []byte(strings.Repeat("\xa0", 10000)))
	}},
	{name: "HPACK bomb of duplicate host (CVE-2026-73550)", rounds: 1, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return a.frame(frameHeaders, flagEndHeaders, 1, []byte(strings.Repeat("\xa6", 10000)))
	}},
	{name: "HPACK bomb in trailers (CVE-2026-78659)", rounds: 1, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return a.open(0) },
		round: func(a *attacker, _ int) []byte {
			return a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, []byte(strings.Repeat("\xa0", 10000)))
		}},
	{name: "PING flood (CVE-2019-9512)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return appendPing(nil, 0, make([]byte, 8)) }},
	{name: "SETTINGS flood (CVE-2019-9515)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return a.frame(frameSettings, 0, 0, nil) }},
	{name: "large SETTINGS (CVE-2020-11080)", rounds: 10, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		return a.frame(frameSettings, 0, 0, []byte(strings.Repeat(string(setting(0x99, 1)), 2000)))
	}},
	{name: "PRIORITY flood (CVE-2019-9513)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, i int) []byte {
		return a.frame(framePriority, 0, uint32(2*i+1), make([]byte, 5))
	}},
	{name: "WINDOW_UPDATE flood", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return appendWindowUpdate(nil, 0, 1) }},
	{name: "empty DATA flood (CVE-2019-9518)", rounds: 1000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return a.open(0) },
		round:  func(a *attacker, _ int) []byte { return a.frame(frameData, 0, 1, nil) }},
	{name: "padded empty DATA flood", rounds: 1000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return a.open(0) },
		round:  func(a *attacker, _ int) []byte { return a.frame(frameData, flagPadded, 1, []byte{3, 0, 0, 0}) }},
	{name: "small DATA on a stream that was reset", rounds: 3000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return append(a.open(0), appendRST(nil, 1, Cancel)...) },
		round:  func(a *attacker, _ int) []byte { return a.frame(frameData, 0, 1, []byte("x")) }},
	{name: "ends on a stream that was reset", rounds: 3000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return append(a.open(0), appendRST(nil, 1, Cancel)...) },
		round:  func(a *attacker, _ int) []byte { return a.frame(frameData, flagEndStream, 1, nil) }},
	{name: "trailers on a stream that we reset", rounds: 3000, want: EnhanceYourCalm,
		before: func(a *attacker) []byte { return append(a.open(0), appendWindowUpdate(nil, 1, 0)...) },
		round: func(a *attacker, _ int) []byte {
			return a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, a.blockOf("x", "y"))
		}},
	{name: "empty HEADERS flood (CVE-2019-9516)", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte {
		a.id += 2
		return a.frame(frameHeaders, flagEndHeaders|flagEndStream, a.id-2, nil)
	}},
	{name: "frames of unknown type", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return a.frame(0x42, 0, 0, nil) }},
	{name: "acknowledgements of nothing", rounds: 1000, want: EnhanceYourCalm, round: func(a *attacker, _ int) []byte { return a.frame(frameSettings, flagAck, 0, nil) }},
	{name: "budgets must not grow with streams ever opened (Envoy 45077)", rounds: 3000, want: EnhanceYourCalm, answer: true,
		before: func(a *attacker) (f []byte) {
			for range 5000 {
				f = append(f, a.open(flagEndStream)...)
			}
			return f
		},
		round: func(a *attacker, _ int) []byte { return appendPing(nil, 0, make([]byte, 8)) }},
	{name: "initial window flapping (CVE-2026-78669)", rounds: 200, want: EnhanceYourCalm, answer: true, body: 10000,
		before: func(a *attacker) []byte {
			f := a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 0))
			for range 100 {
				f = append(f, a.open(flagEndStream)...)
			}
			return f
		},
		round: func(a *attacker, i int) []byte {
			return a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, uint32(i%2)))
		}},
	{name: "data dribble: windows opened by one octet (CVE-2019-9511)", rounds: 3000, want: EnhanceYourCalm, answer: true, body: 10000,
		before: func(a *attacker) []byte {
			return append(a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 0)), a.open(flagEndStream)...)
		},
		round: func(a *attacker, _ int) []byte { return appendWindowUpdate(nil, 1, 1) }},
	{name: "tiny windows that are never opened (CVE-2019-9517)", rounds: 100, want: NoError, answer: true,
		before: func(a *attacker) []byte { return a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 0)) },
		round:  func(a *attacker, _ int) []byte { return a.open(flagEndStream) }},
}

func TestAttacksAreStoppedWithBoundedMemory(t *testing.T) {
	for _, at := range attacks {
		t.Run(at.name, func(t *testing.T) {
			v := &victim{answer: at.answer}
			if at.answer {
				v.body = make([]byte, max(at.body, 10))
			}
			var out []byte
			c := NewConn(Config{}, v, &out)
			c.SetNow(time.Unix(1e9, 0))
			c.Start()
			a := newAttacker()
			in := append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...)
			in = append(in, a.frame(frameSettings, flagAck, 0, nil)...)
			if at.before != nil {
				in = append(in, at.before(a)...)
			}
			err := c.Feed(in)
			heap := heapBytes()
			rounds := 0
			for ; err == nil && rounds < at.rounds; rounds++ {
				err = c.Feed(at.round(a, rounds))
			}
			if grown := heapBytes() - heap; grown > 4<<20 {
				t.Errorf("memory grew by %d octets", grown)
			}
			if v.most > 250 {
				t.Errorf("%d requests at once reached the handler", v.most)
			}
			var ce *ConnError
			switch {
			case at.want == NoError && err != nil:
				t.Errorf("ended with %v", err)
			case at.want != NoError && (!errors.As(err, &ce) || ce.Code != at.want):
				t.Errorf("after %d rounds: %v, want %v", rounds, err, at.want)
			}
			if at.want != NoError && (ce == nil || !strings.Contains(string(out), ce.Reason)) {
				t.Error("the peer is not told why")
			}
			if !errors.Is(c.Feed([]byte("more")), err) {
				t.Error("a dead connection takes more")
			}
		})
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTimeAndHonestTrafficRefillTheBudgets(t *testing.T) {
	v := &victim{}
	var out []byte
	c := NewConn(Config{}, v, &out)
	now := time.Unix(1e9, 0)
	a := newAttacker()
	must := func(p []byte) {
		t.Helper()
		if err := c.Feed(p); err != nil {
			t.Fatal(err)
		}
	}
	must(append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...))
	for range 600 { // ten minutes of a ping and a cancelled request a second
		now = now.Add(time.Second)
		c.SetNow(now)
		must(appendPing(nil, 0, make([]byte, 8)))
		must(a.open(flagEndStream))
		must(appendRST(nil, a.id-2, Cancel))
		out = out[:0]
	}
	if v.begun != 600 {
		t.Errorf("%d requests of 600", v.begun)
	}
}

func TestAWholeSetOfStreamsMayBeCancelledAtOnce(t *testing.T) {
	v := &victim{}
	var out []byte
	c := NewConn(Config{}, v, &out)
	c.SetNow(time.Unix(1e9, 0))
	a := newAttacker()
	in := append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...)
	for range 250 {
		in = append(in, a.open(flagEndStream)...)
	}
	for id := uint32(1); id < a.id; id += 2 {
		in = append(in, appendRST(nil, id, Cancel)...)
	}
	if err := c.Feed(in); err != nil {
		t.Fatalf("an honest client that gives up is cut off: %v", err)
	}
	if v.active != 0 {
		t.Errorf("%d requests go on", v.active)
	}
}

// A client that gives up takes its streams away, but what an honest server sends for their bodies is
// under way: windows for each, and perhaps a response.
func TestAServerIsNotBlamedForWhatItsClientCancelled(t *testing.T) {
	cl := newSide(t, Config{Role: Client})
	cl.c.SetNow(time.Unix(1e9, 0))
	cl.c.Start()
	a := newAttacker()
	if err := cl.c.Feed(a.frame(frameSettings, 0, 0, nil)); err != nil {
		t.Fatal(err)
	}
	var in []byte
	for range 250 {
		s := mustOpen(t, cl, post("/", -1), false)
		s.Send([]byte("x"), false)
		in = append(in, appendWindowUpdate(appendWindowUpdate(nil, 0, 1), s.ID, 1)...)
		in = append(in, a.frame(frameHeaders, flagEndHeaders, s.ID, a.blockOf(":status", "200"))...)
		in = append(in, a.frame(frameData, flagEndStream, s.ID, []byte("x"))...)
		s.Reset(Cancel)
	}
	if err := cl.c.Feed(in); err != nil {
		t.Errorf("the server is cut off: %v", err)
	}
}

func TestAPeerThatNeverReadsIsGivenUp(t *testing.T) {
	v := &victim{answer: true}
	var out []byte
	c := NewConn(Config{MaxOutput: 1 << 10}, v, &out)
	a := newAttacker()
	err := c.Feed(append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...))
	for i := 0; err == nil && i < 1<<20; i++ {
		err = c.Feed(a.open(flagEndStream))
	}
	var ce *ConnError
	if !errors.As(err, &ce) || ce.Code != EnhanceYourCalm {
		t.Fatalf("got %v", err)
	}
	if len(out) > 2<<20 {
		t.Errorf("%d octets of output were stored", len(out))
	}
}

func TestDataBeyondAWindow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    Config
		frames int
		conn   bool
	}{
		{"of its stream resets the stream", Config{StreamWindow: 65535, ConnWindow: 1 << 20}, 5, false},
		{"of the connection ends it", Config{StreamWindow: 1 << 30, ConnWindow: 65535}, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sv := newSide(t, tc.cfg)
			sv.hold = true
			a := newAttacker()
			if err := sv.c.Feed(append(append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...), a.open(0)...)); err != nil {
				t.Fatal(err)
			}
			if tc.conn {
				sv.c.recvWindow = 100 // as if the peer had used the rest up within one batch
				err := sv.c.Feed(a.frame(frameData, 0, 1, make([]byte, 101)))
				var ce *ConnError
				if !errors.As(err, &ce) || ce.Code != FlowControlError {
					t.Fatalf("got %v", err)
				}
				return
			}
			for range tc.frames {
				if err := sv.c.Feed(a.frame(frameData, 0, 1, make([]byte, 16384))); err != nil {
					t.Fatal(err)
				}
			}
			if got := sv.take(); !strings.HasSuffix(got, "reset 1 FLOW_CONTROL_ERROR") {
				t.Errorf("got %s", got)
			}
			if len(sv.body) > 65535 {
				t.Errorf("%d octets were delivered", len(sv.body))
			}
		})
	}
}

func TestOnProbationAllowancesAreEarned(t *testing.T) {
	run := func(answered int) (resets int) {
		v := &victim{answer: true}
		var out []byte
		c := NewConn(Config{}, v, &out)
		c.Probation(true)
		c.SetNow(time.Unix(1e9, 0))
		a := newAttacker()
		err := c.Feed(append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...))
		for range answered {
			if err == nil {
				err = c.Feed(a.open(flagEndStream))
			}
		}
		if err != nil {
			t.Fatalf("an honest client is cut off: %v", err)
		}
		v.answer = false
		for ; err == nil && resets < 10_000; resets++ {
			err = c.Feed(append(a.open(flagEndStream), appendRST(nil, a.id-2, Cancel)...))
		}
		return resets
	}
	for _, tc := range []struct{ answered, want int }{{0, 9}, {10, 49}, {1000, 351}} {
		if got := run(tc.answered); got != tc.want {
			t.Errorf("after %d answered requests it is cut off at reset %d, want %d", tc.answered, got, tc.want)
		}
	}
}
