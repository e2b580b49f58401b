package demo

import (
	"fmt"
	"math"
	"strings"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/demo/shop"
)

// Report is the summary of a demo run, as weft demo --for prints it.
type Report struct {
	Healthy   bool        `json:"healthy"`
	Reasons   []string    `json:"reasons"` // why not; empty if healthy
	Seconds   float64     `json:"seconds"` // under load
	ReadyMS   int64       `json:"readyMs"` // from the start to the first request
	Requests  uint64      `json:"requests"`
	MTLSShare float64     `json:"mtlsShare"` // of all requests and connections
	Edges     []EdgeScore `json:"edges"`
	Versions  []Version   `json:"versions"` // of the weighted route
	Ledger    shop.Ledger `json:"ledger"`   // what the load generator counted itself
}

// EdgeScore is one edge with its verdict.
type EdgeScore struct {
	mesh.Edge
	Planted bool `json:"planted"` // the fault that is there on purpose
	Healthy bool `json:"healthy"`
}

// Version is one backend of the weighted route.
type Version struct {
	Route    string  `json:"route"`
	Backend  string  `json:"backend"`
	Requests uint64  `json:"requests"`
	Share    float64 `json:"share"`
	Weight   float64 `json:"weight"` // configured share
}

// wanted is one edge that must exist: the demo's call graph.
type wanted struct{ from, to, backend string }

// graph is the call graph of the shop.
var graph = []wanted{
	{"shop/load", "shop/web", "shop/web"},
	{"shop/web", "shop/catalog", "shop/catalog"},
	{"shop/web", "shop/cart", "shop/cart"},
	{"shop/web", "shop/ratings", "shop/ratings-v1"},
	{"shop/web", "shop/ratings", "shop/ratings-v2"},
	{"shop/cart", "shop/stock", "shop/stock"},
}

const (
	plantedBackend = "shop/ratings-v2"
	weightedTo     = "shop/ratings"
	// healthyShare is the success share that a sound edge reaches.
	healthyShare = 0.999
)

// weights of the weighted route's backends, as in mesh/ratings.yaml.
var weights = map[string]float64{"shop/ratings-v1": 0.9, "shop/ratings-v2": 0.1}

// judge makes the report from what the mesh measured and what the load generator counted. It
// is pure.
func judge(edges []mesh.Edge, ledger shop.Ledger) Report {
	r := Report{Reasons: []string{}, Requests: ledger.Sent, Ledger: ledger, Edges: []EdgeScore{}, Versions: []Version{}}
	complain := func(format string, args ...any) { r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...)) }

	seen := map[wanted]bool{}
	var events, secure float64
	for _, e := range edges {
		n := traffic(e)
		if n == 0 {
			continue
		}
		seen[wanted{e.From, e.To, e.Backend}] = true
		events, secure = events+n, secure+n*e.MTLS
		s := EdgeScore{Edge: e, Planted: e.Backend == plantedBackend, Healthy: e.Success >= healthyShare && e.MTLS >= 1}
		r.Edges = append(r.Edges, s)
		if e.Success < healthyShare && !s.Planted {
			complain("%s to %s: %.2f %% of %d succeeded, wanted %.1f %%", e.From, e.Backend, 100*e.Success, e.Requests, 100*healthyShare)
		}
		if e.MTLS < 1 {
			complain("%s to %s: %.2f %% over mTLS, wanted all", e.From, e.Backend, 100*e.MTLS)
		}
	}
	for _, w := range graph {
		if !seen[w] {
			complain("%s to %s: no traffic was seen", w.from, w.backend)
		}
	}
	if events > 0 {
		r.MTLSShare = secure / events
	}
	if ledger.Sent == 0 {
		complain("the load generator sent nothing")
	} else if share := float64(ledger.OK) / float64(ledger.Sent); share < healthyShare {
		complain("the load generator saw %.2f %% of %d succeed, wanted %.1f %%%s", 100*share, ledger.Sent, 100*healthyShare, firstReason(ledger))
	}
	r.versions(edges, complain)
	r.Healthy = len(r.Reasons) == 0
	return r
}

// traffic is the number of requests of an edge, or of connections if it carries opaque bytes.
func traffic(e mesh.Edge) float64 { return float64(max(e.Requests, e.Connections)) }

// versions adds the shares of the weighted route, and complains about a share that chance does
// not explain: four standard deviations happen once in 16,000 runs.
func (r *Report) versions(edges []mesh.Edge, complain func(string, ...any)) {
	counts, routes := map[string]uint64{}, map[string]string{}
	var total uint64
	for _, e := range edges {
		if _, ours := weights[e.Backend]; ours && e.To == weightedTo {
			counts[e.Backend] += e.Requests
			routes[e.Backend] = e.Route
			total += e.Requests
		}
	}
	for _, backend := range []string{"shop/ratings-v1", "shop/ratings-v2"} {
		v := Version{Route: routes[backend], Backend: backend, Requests: counts[backend], Weight: weights[backend]}
		if total > 0 {
			v.Share = float64(v.Requests) / float64(total)
		}
		r.Versions = append(r.Versions, v)
		want := v.Weight * float64(total)
		slack := 4*math.Sqrt(want*(1-v.Weight)) + 2
		if got := float64(v.Requests); math.Abs(got-want) > slack {
			complain("%s got %d of %d requests, wanted %.0f ± %.0f by its weight", backend, v.Requests, total, want, slack)
		}
	}
}

// firstReason gives the most frequent failure that the load generator saw.
func firstReason(l shop.Ledger) string {
	best, n := "", uint64(0)
	for reason, count := range l.Reasons {
		if count > n || count == n && reason < best {
			best, n = reason, count
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; mostly: %s (%d)", strings.TrimSpace(best), n)
}
