package main

import (
	"fmt"
	"time"
)

// kind is a way of measuring: what is done to a peer in a round, and which figures come of it. It
// is the third part of a case's id; that of the matrix has the size of the body there instead.
type kind string

// The kinds. What each does is told by its spec.
const (
	kindCarry      kind = ""
	kindStream     kind = "stream"
	kindFlow       kind = "flow"
	kindConn       kind = "conn"
	kindNewLink    kind = "new"
	kindIdle       kind = "idle"
	kindActive     kind = "active"
	kindDown       kind = "down"
	kindUp         kind = "up"
	kindRate       kind = "rate"
	kindBesideUp   kind = "beside-up"
	kindBesideDown kind = "beside-down"
	kindTelemetry  kind = "telemetry"
	kindRoutes     kind = "routes"
	kindLoops      kind = "loops"
	kindStart      kind = "start"
	kindDecide     kind = "decide"
)

// column is one figure of a kind's table.
type column struct {
	name     string // in the JSON lines
	unit     string
	title    string // at the head of the table; has the unit, if there is room for it
	decimals int
	ratio    bool // weft's divided by a peer's is shown too; less is better
	plot     bool // is drawn
}

// spec is what is to be known of a kind beside how it is measured.
type spec struct {
	load    func(benchCase) string // what is sent, for titles
	per     string                 // what CPU time is counted by: "req"
	columns []column               // its figures; none: those that every sample has, as in the matrix

	takes    time.Duration // for one measurement; 0: a slot of the plan
	rounds   int           // if above 0, whatever the plan says
	fresh    bool          // a peer is brought up anew for each measurement, alone
	bulk     bool          // the backend is the one for large bodies
	bare     bool          // nothing is brought up for it
	noDirect bool          // without a proxy there is nothing to measure

	// variants of weft are measured, against one another, instead of the peers. The first is the
	// usual one.
	variants []variant
}

// variant is weft with another configuration. The zero value, but for the name, is the usual one.
type variant struct {
	name       string
	loops      int // 0: 1
	routes     int // HTTPRoute rules of the service; 0: none
	unreported bool
}

// usual is weft as it is compared with its peers.
var usual = variant{name: "weft"}

// spec gives the spec of the case's kind.
func (c benchCase) spec() spec { return specs[c.kind] }

// number gives a func that puts the number of a case into a text.
func number(format string) func(benchCase) string {
	return func(c benchCase) string { return fmt.Sprintf(format, c.conns) }
}

// always gives a func with the same text for every case.
func always(text string) func(benchCase) string { return func(benchCase) string { return text } }

// withNumber is always with the connections.
func withLoad(text string) func(benchCase) string {
	return func(c benchCase) string { return text + ", " + c.load() }
}

// Columns that more than one kind has.
var (
	columnP50   = column{name: "p50_us", unit: "µs", title: "p50 µs"}
	columnP99   = column{name: "p99_us", unit: "µs", title: "p99 µs"}
	columnLate  = column{name: "late_p99_us", unit: "µs", title: "generator late p99 µs"}
	columnsBulk = []column{
		{name: "cpu_s_per_gib", unit: "s/GiB", title: "CPU s/GiB", decimals: 3, ratio: true, plot: true},
		{name: "machine_s_per_gib", unit: "s/GiB", title: "machine s/GiB", decimals: 3, ratio: true},
		{name: "gib_per_s", unit: "GiB/s", title: "GiB/s", decimals: 2},
		{name: "rss_peak_mb", unit: "MB", title: "MB peak", decimals: 1, ratio: true, plot: true},
	}
	columnsIdle = []column{
		{name: "rss_before_mb", unit: "MB", title: "MB before", decimals: 1},
		{name: "rss_idle_mb", unit: "MB", title: "MB idle", decimals: 1},
		{name: "idle_conn_kib", unit: "KiB", title: "KiB/idle conn", decimals: 2, ratio: true, plot: true},
		{name: "idle_cpu_ms_per_s", unit: "ms/s", title: "CPU idle ms/s", decimals: 2},
		{name: "rss_active_mb", unit: "MB", title: "MB active", decimals: 1, ratio: true},
		columnP50, {name: "p99_us", unit: "µs", title: "p99 µs", ratio: true, plot: true}, columnLate,
	}
	columnsBeside = []column{
		{name: "alone_p99_us", unit: "µs", title: "p99 alone µs"},
		{name: "beside_p99_us", unit: "µs", title: "p99 beside µs", ratio: true, plot: true},
		{name: "beside_added_p99_us", unit: "µs", title: "added p99 µs", plot: true},
		{name: "bulk_gib_per_s", unit: "GiB/s", title: "bulk GiB/s", decimals: 2}, columnLate,
	}
)

// specs is everything that is declared about the kinds.
var specs = map[kind]spec{
	kindCarry: {load: benchCase.carried, per: "req"},
	kindStream: {per: "msg", load: func(c benchCase) string {
		return fmt.Sprintf("bidirectional streaming, 65 B there and back, %s, 1 message in flight on each", c.load())
	}},
	kindFlow: {per: "msg", load: func(c benchCase) string {
		return fmt.Sprintf("bidirectional streaming, 65 B there and back, %s, %d messages in flight on each", c.load(), flowDepth)
	}},
	kindConn:    {per: "conn", load: number("65 B, a new connection for each request, %d at a time")},
	kindNewLink: {per: "link", noDirect: true, load: number("a new mTLS link for each request, %d at a time")},
	kindIdle: {per: "conn", takes: 9 * time.Second, fresh: true, noDirect: true, columns: columnsIdle,
		load: func(c benchCase) string {
			if c.proto == protoLink {
				return fmt.Sprintf("%d idle mTLS links", c.conns)
			}
			return fmt.Sprintf("%d idle connections, then %d requests/s on %d active ones beside them", c.conns, activeRate, activeConns)
		}},
	kindActive: {per: "conn", takes: 5 * time.Second, fresh: true, noDirect: true, columns: columnsIdle,
		load: func(c benchCase) string { return fmt.Sprintf("%d requests/s on %d connections", activeRate, c.conns) }},
	kindDown: {per: "GiB", takes: 3 * time.Second, bulk: true, columns: columnsBulk, load: always("1 GiB down, 1 connection")},
	kindUp:   {per: "GiB", takes: 3 * time.Second, bulk: true, columns: columnsBulk, load: always("1 GiB up, 1 connection")},
	kindRate: {per: "req", takes: rateTime + time.Second, load: number("65 B, %d requests/s, whatever comes back"),
		columns: []column{
			columnP50, columnP99, {name: "p999_us", unit: "µs", title: "p99.9 µs"},
			{name: "added_p50_us", unit: "µs", title: "added p50"},
			{name: "added_p99_us", unit: "µs", title: "added p99", ratio: true, plot: true},
			{name: "added_p999_us", unit: "µs", title: "added p99.9", ratio: true, plot: true},
			columnLate,
		}},
	kindBesideUp: {per: "req", takes: besideAlone + 3*time.Second, bulk: true, columns: columnsBeside,
		load: number("65 B at %d requests/s beside an upload of 1 GiB")},
	kindBesideDown: {per: "req", takes: besideAlone + 3*time.Second, bulk: true, columns: columnsBeside,
		load: number("65 B at %d requests/s beside a download of 1 GiB")},
	kindTelemetry: {per: "req", load: withLoad("65 B, with and without reports to the control plane"),
		variants: []variant{usual, {name: "weft-unreported", unreported: true}}},
	kindRoutes: {per: "req", load: withLoad("65 B, a service with 1, 100 and 10,000 HTTPRoute rules"),
		variants: []variant{{name: "weft", routes: 1}, {name: "weft-100", routes: 100}, {name: "weft-10000", routes: 10_000}}},
	kindLoops: {per: "req", load: withLoad("65 B, one event loop and two"),
		variants: []variant{usual, {name: "weft-2-loops", loops: 2}}},
	kindStart: {per: "start", rounds: 1, takes: 15 * time.Second, variants: []variant{usual}, load: number("from exec to ready, median of %d starts; size at rest"),
		columns: []column{
			{name: "ready_ms", unit: "ms", title: "ready ms", decimals: 1, plot: true},
			{name: "ready_kept_ms", unit: "ms", title: "with last good state", decimals: 1, plot: true},
			{name: "binary_mb", unit: "MB", title: "binary MB", decimals: 1},
			{name: "rss_mb", unit: "MB", title: "RSS MB", decimals: 1},
			{name: "rss_anon_mb", unit: "MB", title: "anonymous", decimals: 1},
			{name: "rss_file_mb", unit: "MB", title: "of files", decimals: 1},
			{name: "pss_mb", unit: "MB", title: "PSS MB", decimals: 1},
			{name: "control_rss_mb", unit: "MB", title: "control plane RSS MB", decimals: 1},
			{name: "control_anon_mb", unit: "MB", title: "anonymous", decimals: 1},
		}},
	kindDecide: {per: "decision", rounds: 1, bare: true, takes: 15 * time.Second, variants: []variant{usual}, load: number("the decision alone, among up to %d routes"),
		columns: []column{
			{name: "routes_1_ns", unit: "ns", title: "ns, 1 route"},
			{name: "routes_100_ns", unit: "ns", title: "ns, 100 routes"},
			{name: "routes_10000_ns", unit: "ns", title: "ns, 10,000 routes", plot: true},
			{name: "routes_10000_vs_1", unit: "ratio", title: "10,000 / 1", decimals: 2},
			{name: "allocs", unit: "allocations", title: "allocations"},
		}},
}

// Sizes of the kinds.
const (
	flowDepth   = 16 // messages in flight on a stream of kindFlow
	activeConns = 1000
	activeRate  = 2000 // requests a second on them
	bulkBytes   = 1 << 30
	rateTime    = 4 * time.Second
	rateConns   = 64 // kept by the generator of a constant rate; the rest waits, and that counts
	besideAlone = 1500 * time.Millisecond
	startTimes  = 20

	settleTime = 5 * time.Second // how long answers are waited for after the last request was due
)

// scenarios gives the cases that are not of the matrix.
func scenarios() []benchCase {
	return []benchCase{
		scenario(twoHops, protoH1, kindRate, 2000),
		scenario(twoHops, protoTCP, kindDown, 1),
		scenario(oneHop, protoTCP, kindDown, 1),
		scenario(noLoad, protoNone, kindStart, startTimes),
		scenario(twoHops, protoH1, kindIdle, 10_000),
		scenario(twoHops, protoH1, kindActive, activeConns),
		scenario(twoHops, protoLink, kindIdle, 1000),
		scenario(noLoad, protoNone, kindDecide, 10_000),
		scenario(twoHops, protoH1, kindBesideUp, 1000),
		scenario(twoHops, protoH1, kindBesideDown, 1000),
		scenario(twoHops, protoGRPC, kindStream, 1),
		scenario(twoHops, protoGRPC, kindStream, 32),
		scenario(twoHops, protoGRPC, kindFlow, 32),
		scenario(twoHops, protoH1, kindConn, 32),
		scenario(twoHops, protoTCP, kindConn, 32),
		scenario(twoHops, protoLink, kindNewLink, 8),
		scenario(twoHops, protoH1, kindDown, 1),
		scenario(twoHops, protoH1, kindUp, 1),
		scenario(twoHops, protoH2, kindDown, 1),
		scenario(twoHops, protoH2, kindUp, 1),
		scenario(twoHops, protoTCP, kindUp, 1),
		scenario(twoHops, protoH1, kindTelemetry, 32),
		scenario(twoHops, protoH1, kindRoutes, 32),
		scenario(twoHops, protoH1, kindLoops, 256),
	}
}
