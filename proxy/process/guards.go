package process

import (
	"math/rand/v2"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// onWorkloads gives all loops what the mesh says of our workloads: the guards of their applications, and
// their places among their like. It waits until both are in force.
func (p *proxy) onWorkloads(own []*model.Workload) {
	guards, problems := core.NewGuards(own, rand.Uint64(), p.guards)
	for _, err := range problems {
		p.log.Warn("part of a policy cannot be carried out and is left out", "err", err)
	}
	p.guards = guards
	p.onAllLoops(func(c *core.Core) {
		c.SetGuards(guards)
		for i, w := range own {
			if w != nil {
				c.SetPeers(i, w.Peers.Index, w.Peers.Count)
			}
		}
	})
}
