package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// resultPrefix begins the line with the result, of wrk's script and of the TCP load generator.
const resultPrefix = "WEFT-BENCH "

// wrkScript makes wrk print what it knows on one line of our own; its usual output has no p99.9.
// A done function runs once at the end and costs nothing before.
const wrkScript = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("` + resultPrefix + `requests=%d bytes=%d micros=%d failed=%d p50=%d p99=%d p999=%d\n",
    summary.requests, summary.bytes, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`

// wrkArgs gives the arguments for a run that is ended from outside by SIGINT: wrk itself knows
// whole seconds only.
func wrkArgs(script, url string, conns int) []string {
	return []string{"-t1", "-c" + strconv.Itoa(conns), "-d10m", "--timeout", "5s", "-s", script, url}
}

// parseResult reads the line that begins with resultPrefix.
func parseResult(out []byte) (loadResult, error) {
	for line := range strings.Lines(string(out)) {
		rest, ok := strings.CutPrefix(line, resultPrefix)
		if !ok {
			continue
		}
		v := map[string]int64{}
		for _, kv := range strings.Fields(rest) {
			k, s, _ := strings.Cut(kv, "=")
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return loadResult{}, fmt.Errorf("load result: %s: %w", k, err)
			}
			v[k] = n
		}
		for _, k := range []string{"requests", "bytes", "micros", "failed", "p50", "p99", "p999"} {
			if _, ok := v[k]; !ok {
				return loadResult{}, fmt.Errorf("load result: no %s in %q", k, strings.TrimSpace(line))
			}
		}
		us := func(k string) time.Duration { return time.Duration(v[k]) * time.Microsecond }
		return loadResult{requests: v["requests"], failed: v["failed"], bytes: v["bytes"], duration: us("micros"),
			p50: us("p50"), p99: us("p99"), p999: us("p999"), late: us("late"), held: v["held"]}, nil
	}
	return loadResult{}, fmt.Errorf("the load generator printed no result: %s", rig.Excerpt(out))
}
