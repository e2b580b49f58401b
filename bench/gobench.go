package main

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/weft-mesh/weft/bench/rig"
)

// decideLine is a line of `go test -bench BenchmarkDecide -benchmem`.
var decideLine = regexp.MustCompile(`(?m)^BenchmarkDecide/routes=(\d+)/(\S+)\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// parseDecide gives, for each number of routes, the time of a decision in nanoseconds: the median
// of the repetitions of the slowest of its paths; and the largest number of allocations of all.
func parseDecide(out []byte) (ns map[int]float64, allocs float64, err error) {
	seen := map[int]map[string][]float64{}
	for _, m := range decideLine.FindAllSubmatch(out, -1) {
		routes, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return nil, 0, fmt.Errorf("benchmark of the decision: %w", err)
		}
		t, err := strconv.ParseFloat(string(m[3]), 64)
		if err != nil {
			return nil, 0, fmt.Errorf("benchmark of the decision: %w", err)
		}
		a, err := strconv.ParseFloat(string(m[4]), 64)
		if err != nil {
			return nil, 0, fmt.Errorf("benchmark of the decision: %w", err)
		}
		name := string(m[2])
		if seen[routes] == nil {
			seen[routes] = map[string][]float64{}
		}
		seen[routes][name] = append(seen[routes][name], t)
		allocs = max(allocs, a)
	}
	ns = map[int]float64{}
	for routes, paths := range seen {
		for _, t := range paths {
			ns[routes] = max(ns[routes], median(t))
		}
	}
	for _, n := range []int{1, 100, 10_000} {
		if ns[n] == 0 {
			return nil, 0, fmt.Errorf("benchmark of the decision: nothing of %d routes in %s", n, rig.Excerpt(out))
		}
	}
	return ns, allocs, nil
}
