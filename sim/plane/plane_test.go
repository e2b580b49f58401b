package plane

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var (
	oneSeed  = flag.Uint64("seed", 0, "live this seed only and print its story")
	manySeed = flag.Int("seeds", 1, "how many lives")
)

func TestSeeds(t *testing.T) {
	if *oneSeed > 0 {
		w := live(t, *oneSeed)
		for _, l := range w.story {
			t.Log(l)
		}
		report(t, w)
		return
	}
	for i := range *manySeed {
		report(t, live(t, uint64(i+1)))
	}
}

func report(t *testing.T, w *world) {
	t.Helper()
	for _, v := range w.wrong {
		t.Errorf("seed %d: %s", w.seed, v)
	}
}

// TestASeedRepeatsItsStory: what happens to whom, and in which order, is the same each time. Instants
// may differ by the order in which goroutines run.
func TestASeedRepeatsItsStory(t *testing.T) {
	if a, b := live(t, 1).what, live(t, 1).what; !slices.Equal(a, b) {
		t.Errorf("two stories:\n%s\nand\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}
