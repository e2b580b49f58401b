package allocs

import "testing"

// spy is a testing.TB that remembers what it was told instead of acting on it.
type spy struct {
	testing.TB
	failed bool
}

func (s *spy) Helper()               {}
func (s *spy) Errorf(string, ...any) { s.failed = true }

var kept []byte // so that what is made escapes

func TestOneAllocationInAThousandCallsIsFound(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	n := 0
	rare := func() {
		if n++; n%1000 == 0 {
			kept = make([]byte, 64)
		}
	}
	s := &spy{TB: t}
	None(s, 1000, rare)
	if !s.failed {
		t.Error("not found")
	}
}

func TestGrowingOnceIsNotHeldAgainstAnyone(t *testing.T) {
	var buf []byte
	None(t, 1000, func() { buf = append(buf[:0], "some bytes"...) })
}
