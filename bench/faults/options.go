package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the user asks for.
type options struct {
	scenarios []scenario
	peers     []string
	rate      int
	each      time.Duration // of one peer in one scenario, without its start
	weft      string        // directory of its programs; empty: they are built
	cache     string
	docs      string // directory of the page and plots that are written; empty: none
	jsonFile  string
}

// peerNames are those that can be asked for, in the order of tables.
var peerNames = []string{"weft", "haproxy", "envoy"}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var names, peers string
	fs := flag.NewFlagSet("faults", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	fs.StringVar(&names, "scenarios", strings.Join(all, ","), "`LIST` of scenarios")
	fs.StringVar(&peers, "peers", strings.Join(peerNames, ","), "`LIST` of proxies")
	fs.IntVar(&o.rate, "rate", 500, "requests a `SECOND`")
	fs.DurationVar(&o.each, "each", 18*time.Second, "how `LONG` one proxy is measured in one scenario, 5s to 1m")
	fs.StringVar(&o.weft, "weft", "", "`DIR` with weft and weft-proxy (default: built here)")
	fs.StringVar(&o.cache, "cache", defaultCache(), "`DIR` where downloaded and built programs are kept")
	fs.StringVar(&o.docs, "docs", "", "`DIR` of real.md, into which the tables are written, and the plots beside it")
	fs.StringVar(&o.jsonFile, "json", "", "`FILE` for all figures, a line of JSON for each proxy and scenario")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	for _, n := range strings.Split(names, ",") {
		s, err := scenarioNamed(n)
		if err != nil {
			return o, fmt.Errorf("-scenarios: %w; there are %s", err, strings.Join(all, ", "))
		}
		o.scenarios = append(o.scenarios, s)
	}
	for _, n := range strings.Split(peers, ",") {
		if !slices.Contains(peerNames, n) {
			return o, fmt.Errorf("-peers: no proxy is called %q; there are %s", n, strings.Join(peerNames, ", "))
		}
		o.peers = append(o.peers, n)
	}
	if o.rate < 10 || o.rate > 10_000 {
		return o, fmt.Errorf("-rate %d is outside of 10 to 10000", o.rate)
	}
	if o.each < 5*time.Second || o.each > time.Minute {
		return o, fmt.Errorf("-each %s is outside of 5s to 1m", o.each)
	}
	return o, nil
}

// defaultCache is .tools in the repository, and a temporary directory elsewhere.
func defaultCache() string {
	if _, err := os.Stat("cmd/weft-proxy"); err == nil {
		return ".tools"
	}
	return filepath.Join(os.TempDir(), "weft-bench-cache")
}
