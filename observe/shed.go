package observe

import (
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// shedding is what servers' proxies turned away to guard their applications, by who asked for
// what. Servers know callers by identity only.
type shedding map[shedKey][]report.Refusal

type shedKey struct {
	identity string // of the caller; empty: all of them
	service  model.Name
}

// add takes in a series as the server's proxy counted it; others are left out.
func (s shedding) add(k report.Key, c *report.Counts) {
	if k.Direction != report.Inbound {
		return
	}
	for _, r := range c.Refused {
		if !report.IsShed(r.Code) {
			continue
		}
		one := []report.Refusal{r}
		for _, at := range []shedKey{{k.SourceIdentity, k.Service}, {"", k.Service}} {
			s[at] = report.MergeRefusals(s[at], one)
		}
	}
}

// of gives what was shed of the traffic of a row. A caller whose identity is not known has none:
// nobody without one gets as far as a server's proxy.
func (s shedding) of(r *Row) []report.Refusal {
	k := shedKey{r.SourceIdentity, r.Backend}
	if r.Backend == (model.Name{}) || r.Direction == report.Inbound { // there the backend is a workload
		k.service = r.Service
	}
	if k.identity == "" && r.Source != (model.Name{}) {
		return nil
	}
	return s[k]
}
