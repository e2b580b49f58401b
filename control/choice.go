package control

import (
	"cmp"
	"fmt"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// addBalance tells, in an explanation that ended at endpoints, how the client's proxy sees them at
// present and which of them the next request would go to.
func (s *meshService) addBalance(reply *pb.ExplainReply, key report.SetKey) {
	if reply.GetProxy() == "" || len(reply.GetEndpoints()) == 0 {
		return
	}
	sets := s.sets(func(proxy string, k report.SetKey) bool { return proxy == reply.GetProxy() && k == key })
	if len(sets) == 0 {
		return
	}
	set := s.present(&sets[0])
	type at struct {
		workload model.Name
		addr     string
	}
	rows := map[at]int{}
	for i, e := range sets[0].Endpoints {
		rows[at{e.Workload, e.Addr.String()}] = i
	}
	chances := chancesOf(&sets[0].Set)
	best := 0.0
	var likely *pb.ExplainEndpoint
	for _, e := range reply.GetEndpoints() {
		i, ok := rows[at{wire.ToName(e.GetWorkload()), e.GetAddress()}]
		if !ok {
			continue // it came after the proxy told
		}
		e.Balance, e.Chance = set.GetEndpoints()[i], chances[i]
		if e.GetChance() > best {
			best, likely = e.GetChance(), e
		}
	}
	reply.Choice = how(set.GetAlgorithm())
	if likely != nil {
		reply.Choice += fmt.Sprintf("; at present most likely %s (%.0f %%)", wire.ToName(likely.GetWorkload()), 100*best)
	}
}

// how says how an algorithm chooses.
func how(algorithm string) string {
	switch algorithm {
	case model.PeakEWMA.String():
		return "of two at random the one with less latency times requests in flight (PeakEWMA)"
	case model.LeastRequest.String():
		return "of two at random the one with fewer requests in flight (LeastRequest)"
	case model.RoundRobin.String():
		return "in turn, by weight (RoundRobin)"
	case model.Random.String():
		return "at random, by weight (Random)"
	case model.Prequal.String():
		return "by the load that endpoints told when they were asked just before (Prequal)"
	case model.RingHash.String(), model.Maglev.String():
		return "by a hash of the request, unless that endpoint has too many in flight (" + algorithm + ")"
	}
	return "by " + clipText(algorithm)
}

// chancesOf gives, for each endpoint of a set, how likely the next request goes there as far as that
// can be told without the request: 0 for all if the algorithm goes by what is in it.
func chancesOf(set *report.Set) []float64 {
	out := make([]float64, len(set.Endpoints))
	weights := weightsOf(set.Endpoints)
	switch set.Algorithm {
	case model.PeakEWMA.String(), model.LeastRequest.String():
		return ofTwo(costsOf(set), weights)
	case model.RoundRobin.String(), model.Random.String():
		var sum float64
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			if sum > 0 {
				out[i] = w / sum
			}
		}
	}
	return out
}

// weightsOf gives what endpoints are drawn by: nothing for those that are only taken if there is no
// other.
func weightsOf(es []report.Endpoint) []float64 {
	usable := func(e *report.Endpoint) bool { return e.State <= report.EndpointReturning }
	some := false
	for i := range es {
		some = some || usable(&es[i])
	}
	out := make([]float64, len(es))
	for i := range es {
		if usable(&es[i]) || !some {
			out[i] = es[i].Weight
		}
	}
	return out
}

// firstLatency is what an endpoint without an estimate is thought to take while it has a request.
const firstLatency = 30 * time.Millisecond

// costsOf gives what an algorithm that compares two endpoints goes by: latency times requests in
// flight and one more, or these alone; requests weigh more at an endpoint of less weight.
func costsOf(set *report.Set) []float64 {
	out := make([]float64, len(set.Endpoints))
	for i := range set.Endpoints {
		e := &set.Endpoints[i]
		busy := float64(e.InFlight) / float64(max(set.Loops, 1))
		if e.Weight > 0 {
			busy /= e.Weight
		}
		latency := float64(e.Latency)
		switch {
		case set.Algorithm != model.PeakEWMA.String():
			latency = 1
		case e.Latency == 0 && e.InFlight == 0: // it is tried at once
		case e.Latency == 0:
			latency = float64(firstLatency)
		}
		out[i] = latency * (busy + 1)
	}
	return out
}

// ofTwo gives the chances of endpoints of which two are drawn and the one that costs less is taken:
// two that differ if all weights are the same, otherwise by weight, and then it may be one.
func ofTwo(costs, weights []float64) []float64 {
	out := make([]float64, len(costs))
	var drawn []int
	same := true
	var sum float64
	for i, w := range weights {
		if w > 0 {
			drawn = append(drawn, i)
			same = same && w == weights[drawn[0]]
			sum += w
		}
	}
	if len(drawn) == 1 {
		out[drawn[0]] = 1
		return out
	}
	for _, a := range drawn {
		for _, b := range drawn {
			if same && a == b {
				continue
			}
			chance := weights[a] / sum * weights[b] / sum
			if same {
				chance = 1 / float64(len(drawn)*(len(drawn)-1))
			}
			switch cmp.Compare(costs[a], costs[b]) {
			case -1:
				out[a] += chance
			case 1:
				out[b] += chance
			default:
				out[a] += chance / 2
				out[b] += chance / 2
			}
		}
	}
	return out
}
