package allocs

import "testing"

// tries is how often a measurement is repeated that found allocations: the runtime makes some of
// its own now and then, those of the code under test come back each time.
const tries = 5

// None fails t if n calls of once, after as many to warm up, allocate at all. Take n so large that
// what happens rarely is among them, such as the renewal of a window: one allocation in n calls is
// one too many. Under the race detector, which allocates itself, it skips the test.
//
// Like testing.AllocsPerRun it must not be called by parallel tests.
func None(t testing.TB, n int, once func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates: this is checked without it only")
	}
	if got := count(n, once); got > 0 {
		t.Errorf("%v allocations in %d calls, want none", got, n)
	}
}

// count is the number of allocations of n calls. AllocsPerRun gives a mean, rounded down, so all
// calls are one run to it, and it makes one run before it counts.
func count(n int, once func()) float64 {
	all := func() {
		for range n {
			once()
		}
	}
	least := testing.AllocsPerRun(1, all)
	for try := 1; least > 0 && try < tries; try++ {
		least = min(least, testing.AllocsPerRun(1, all))
	}
	return least
}
