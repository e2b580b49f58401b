//go:build linux

package epoll

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestWhatWaitsIsKeptInHardlyMoreMemoryThanItTakes: and nothing is lost or mixed up, whoever had the
// buffer before.
func TestWhatWaitsIsKeptInHardlyMoreMemoryThanItTakes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var u unsent
	const conns = 5
	bufs, want := make([][]byte, conns), make([][]byte, conns)
	for step := range 10_000 {
		i := rnd.IntN(conns)
		switch rnd.IntN(3) {
		case 0, 1:
			if len(want[i]) > 400<<10 {
				continue
			}
			p := make([]byte, 1+rnd.IntN([]int{10, 5000, 140 << 10}[rnd.IntN(3)]))
			for j := range p {
				p[j] = byte(step + j)
			}
			bufs[i], want[i] = u.add(bufs[i], p), append(want[i], p...)
		case 2:
			n := rnd.IntN(len(want[i]) + 1)
			want[i] = want[i][n:]
			if len(want[i]) == 0 {
				u.put(bufs[i])
				bufs[i] = nil
			} else if n > 0 {
				bufs[i] = u.rest(bufs[i], bufs[i][n:])
			}
		}
		if !bytes.Equal(bufs[i], want[i]) {
			t.Fatalf("step %d: %d bytes wait that are not the %d that should", step, len(bufs[i]), len(want[i]))
		}
		if c := cap(bufs[i]); c > max(4*len(want[i]), maxUnsentSize)+unsentStep {
			t.Fatalf("step %d: %d bytes wait in %d", step, len(want[i]), c)
		}
	}
	if len(u.free) > maxUnsent {
		t.Errorf("%d buffers are kept", len(u.free))
	}
}

// TestABufferIsUsedAgain: for a response that the kernel does not take at once, again and again.
func TestABufferIsUsedAgain(t *testing.T) {
	var u unsent
	p := make([]byte, 100<<10)
	if n := testing.AllocsPerRun(100, func() {
		b := u.add(nil, p)
		b = u.rest(b, b[len(b)-90_000:])
		u.put(b)
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
