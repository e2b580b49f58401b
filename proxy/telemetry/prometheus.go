package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/api/report"
)

// ContentType is that of WritePrometheus's output.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WritePrometheus writes everything in the Prometheus text format 0.0.4. Counts with the same
// labels, on several loops or of keys that differ in what labels leave out, are added up: one
// sample that is there twice would cost the reader the whole page.
func (r *Registry) WritePrometheus(w io.Writer) error {
	totals := map[string]*report.Counts{} // by labels
	refused := map[string]uint64{}
	var accepted, open uint64
	for _, sh := range r.shards {
		for _, s := range sh.snapshot() {
			c, l := s.counts(), s.Key.labels()
			t := totals[l]
			if t == nil {
				t = &report.Counts{}
				totals[l] = t
			}
			active := t.Active + c.Active
			t.Add(&c)
			t.Active = active
		}
		sh.mu.Lock()
		for code, n := range sh.refusals {
			refused[code] += n.Load()
		}
		sh.mu.Unlock()
		closed := sh.ClosedConns.Load() // before the accepted ones, so that it is not more
		n := sh.Accepted.Load()
		accepted += n
		open += n - closed
	}
	keys := slices.Sorted(maps.Keys(totals))

	b := bufio.NewWriter(w)
	head := func(name, kind, help string) {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	each := func(f func(l string, c *report.Counts)) {
		for _, l := range keys {
			f(l, totals[l])
		}
	}
	classes := [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	head("weft_requests_total", "counter", "Finished requests and connections by class of status.")
	each(func(l string, c *report.Counts) {
		for i, n := range c.Status {
			if n > 0 {
				fmt.Fprintf(b, "weft_requests_total{%s,status_class=%q} %d\n", l, classes[i], n)
			}
		}
	})
	head("weft_request_failures_total", "counter", "Requests that failed: 5xx, no response, or a failed gRPC status.")
	each(func(l string, c *report.Counts) { fmt.Fprintf(b, "weft_request_failures_total{%s} %d\n", l, c.Failure) })
	// Most series were never tried again or refused: what is zero is left out.
	tries := func(name, help string, of func(c *report.Counts) uint64) {
		head(name, "counter", help)
		each(func(l string, c *report.Counts) {
			if n := of(c); n > 0 {
				fmt.Fprintf(b, "%s{%s} %d\n", name, l, n)
			}
		})
	}
	tries("weft_retries_total", "Tries after the first, without hedges.", func(c *report.Counts) uint64 { return c.Retries })
	tries("weft_hedges_total", "Second tries beside a first that was slow.", func(c *report.Counts) uint64 { return c.Hedges })
	tries("weft_hedges_won_total", "Hedges whose answer came first.", func(c *report.Counts) uint64 { return c.HedgesWon })
	tries("weft_tries_failed_total", "Tries that failed, the last of a request included.", func(c *report.Counts) uint64 { return c.TriesFailed })
	head("weft_request_refusals_total", "counter", "Requests that the proxy answered itself instead of carrying them, by code.")
	each(func(l string, c *report.Counts) {
		for _, r := range c.Refused {
			fmt.Fprintf(b, "weft_request_refusals_total{%s,code=\"%s\"} %d\n", l, escape(r.Code), r.Count)
		}
	})
	head("weft_requests_active", "gauge", "Requests and connections under way.")
	each(func(l string, c *report.Counts) { fmt.Fprintf(b, "weft_requests_active{%s} %d\n", l, c.Active) })
	head("weft_sent_bytes_total", "counter", "Body bytes from the client to the service.")
	each(func(l string, c *report.Counts) { fmt.Fprintf(b, "weft_sent_bytes_total{%s} %d\n", l, c.BytesOut) })
	head("weft_received_bytes_total", "counter", "Body bytes from the service to the client.")
	each(func(l string, c *report.Counts) { fmt.Fprintf(b, "weft_received_bytes_total{%s} %d\n", l, c.BytesIn) })
	head("weft_request_duration_seconds", "histogram", "From the request's head to the response's end.")
	each(func(l string, c *report.Counts) { writeHistogram(b, l, c) })
	head("weft_refused_total", "counter", "Requests and connections that the proxy refused, by code.")
	for _, c := range slices.Sorted(maps.Keys(refused)) {
		fmt.Fprintf(b, "weft_refused_total{code=\"%s\"} %d\n", escape(c), refused[c])
	}
	head("weft_connections_accepted_total", "counter", "Connections accepted.")
	fmt.Fprintf(b, "weft_connections_accepted_total %d\n", accepted)
	head("weft_connections_open", "gauge", "Accepted connections that are open.")
	fmt.Fprintf(b, "weft_connections_open %d\n", open)
	return b.Flush()
}

// The bounds of the Prometheus histogram are powers of two of microseconds, at which our finer
// buckets have a border too, so the counts are exact. (Prometheus counts a value that equals a
// bound below it, we above: the difference is less than the microsecond that we cut off.)
const firstBound, lastBound = 8, 26 // 256 µs to 67 s

func writeHistogram(b *bufio.Writer, l string, c *report.Counts) {
	var count uint64
	i := 0
	for p := firstBound; p <= lastBound; p++ {
		limit := uint64(1) << p
		for i < len(c.Latency) {
			if _, hi := report.BucketBounds(c.Latency[i].Index); hi > limit {
				break
			}
			count += c.Latency[i].Count
			i++
		}
		fmt.Fprintf(b, "weft_request_duration_seconds_bucket{%s,le=%q} %d\n", l, strconv.FormatFloat(float64(limit)/1e6, 'g', -1, 64), count)
	}
	for ; i < len(c.Latency); i++ {
		count += c.Latency[i].Count
	}
	fmt.Fprintf(b, "weft_request_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", l, count)
	fmt.Fprintf(b, "weft_request_duration_seconds_sum{%s} %g\n", l, float64(c.LatencySumMicros)/1e6)
	fmt.Fprintf(b, "weft_request_duration_seconds_count{%s} %d\n", l, count)
}

// labels gives the label pairs of a key. Every key has all labels, so that sums by label work.
func (k Key) labels() string {
	r := k.report()
	pairs := [...][2]string{
		{"direction", r.Direction.String()},
		{"source_namespace", r.Source.Namespace}, {"source_workload", r.Source.Name}, {"source_identity", r.SourceIdentity},
		{"namespace", r.Service.Namespace}, {"service", r.Service.Name}, {"port", strconv.Itoa(int(k.Port))},
		{"route", r.Route}, {"backend_namespace", r.Backend.Namespace}, {"backend", r.Backend.Name}, {"protocol", r.Protocol}, {"tls", hop(r)},
	}
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p[0])
		b.WriteString(`="`)
		b.WriteString(escape(p[1]))
		b.WriteByte('"')
	}
	return b.String()
}

// hop is how a request got from the caller's proxy to the callee's.
func hop(r report.Key) string {
	if r.Local {
		return "local"
	}
	return strconv.FormatBool(r.TLS)
}

// escape makes a label value (Prometheus exposition formats, text format details). Bytes that are
// no UTF-8 would cost the reader the whole page.
func escape(v string) string { return escaper.Replace(strings.ToValidUTF8(v, "\uFFFD")) }

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
