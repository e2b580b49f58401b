package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weft-mesh/weft/version"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with everything passed in; it gives the exit code: 0 done, 1 failed, 2 wrong flags.
func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("history", flag.ContinueOnError)
	fs.SetOutput(stderr)
	add := fs.String("add", "", "record the run in this `file` of JSON lines (go run ./bench -json FILE)")
	name := fs.String("version", version.String(), "the `version` that was measured")
	results := fs.String("results", filepath.Join("bench", "history", "results"), "the `directory` with a file for each release")
	svg := fs.String("svg", filepath.Join("docs", "performance-history.svg"), "the `file` that the plot is written to")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "history: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	if err := update(*add, *name, *results, *svg, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "history: %v\n", err)
		return 1
	}
	return 0
}

// update records a run, if there is one to add, and draws the plot.
func update(add, name, results, svg string, stdout io.Writer) error {
	if add != "" {
		f, err := os.Open(add)
		if err != nil {
			return fmt.Errorf("%w\n  next  make bench (root, it writes dist/bench.jsonl)", err)
		}
		r, err := Record(f, name)
		_ = f.Close() // read only
		if err != nil {
			return fmt.Errorf("%s: %w", add, err)
		}
		file, err := save(results, &r)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(stdout, "recorded %d cases and %d goals of %s in %s\n", len(r.Cases), len(r.Goals), r.Version, file)
		if busy := r.othersBusy(); busy > noisy {
			_, _ = fmt.Fprintf(stdout, "note: others used up to %.0f %% of the machine meanwhile; a release's result is measured on a quiet one\n", busy*100)
		}
	}
	all, err := load(results)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no release is recorded in %s", results)
	}
	var b bytes.Buffer
	plot(&b, all)
	if err := writeFile(svg, b.Bytes()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "drew %d releases to %s\n", len(all), svg)
	return nil
}
