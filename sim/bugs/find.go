//go:build plantedbugs

package bugs

import (
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/sim/mesh"
)

// Found tells how a bug was found.
type Found struct {
	Seed uint64
	By   string // name of the invariant
	Text string
}

// Find plants a bug, lives up to n lives from a seed on, and removes the bug again. Not safe for
// concurrent use.
func Find(b Bug, first uint64, n, cores int) (f Found, found bool) {
	planted.Plant(b.Bug)
	defer planted.Plant(planted.None)
	t := mesh.Many(first, n, cores, func(r mesh.Result) bool { return len(r.Findings) > 0 })
	if len(t.Failed) == 0 {
		return f, false
	}
	r := t.Failed[0]
	return Found{r.Seed, r.Findings[0].Name, r.Findings[0].String()}, true
}
