package compile

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// guardWorkloads gives each port of a workload the policy of the Service that leads there, for its
// proxy to guard it by. Of several that have one, the first by namespace, name and port counts.
func (c *compiler) guardWorkloads() {
	from := map[*model.Policy]*service{}
	for _, s := range c.orderedServices() {
		for i := range s.endpoints.Endpoints {
			e := &s.endpoints.Endpoints[i]
			p, ok := s.port(e.Port)
			if !ok || p.Policy == nil || e.Workload.Name == "" {
				continue
			}
			w := c.workloadNamed(e.Workload)
			if w == nil {
				continue
			}
			at := slices.IndexFunc(w.model.Ports, func(q model.Port) bool { return q.Port == e.Addr.Port() })
			if at < 0 {
				continue // it declares no ports, so it has no proxy that knows of one
			}
			have := &w.model.Ports[at].Policy
			if *have == nil {
				*have = p.Policy
				if from[p.Policy] == nil {
					from[p.Policy] = s
				}
				continue
			}
			if reflect.DeepEqual((*have).Guard, p.Policy.Guard) {
				continue
			}
			c.once(s.obj, "metadata.name", "W1233", fmt.Sprintf("workload %s is guarded by two Services", w.model.Name),
				fmt.Sprintf("its port %d is behind Service %s too, whose policy (%s) has another overload or rateLimits section and counts; that of Service %s (%s) does not", e.Addr.Port(), from[*have].model.Name, (*have).Source, s.model.Name, p.Policy.Source),
				"give both Services one policy, with two targetRefs")
		}
	}
}

func (c *compiler) workloadNamed(n model.Name) *workload {
	i, ok := slices.BinarySearchFunc(c.workloads, n, func(w *workload, n model.Name) int { return compareNames(w.model.Name, n) })
	if !ok {
		return nil
	}
	return c.workloads[i]
}
