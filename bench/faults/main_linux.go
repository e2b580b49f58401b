package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weft-mesh/weft/bench/rig"
)

// Exit codes, the same as those of package bench.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitIncomplete  = 3 // it ran, but not everything asked for could be measured
	exitInterrupted = 130
)

// roleServe is the first argument of this program as the servers.
const roleServe = "serve"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with everything passed in; it gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == roleServe {
		return report(stderr, serve(args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		report(stderr, err)
		return exitUsage
	}
	code, err := measureAll(ctx, o, stdout, stderr)
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(stderr, "faults: interrupted; everything is stopped and removed")
		return exitInterrupted
	}
	if err != nil {
		return report(stderr, err)
	}
	return code
}

// report prints an error and gives the exit code.
func report(w io.Writer, err error) int {
	var p *rig.Problem
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &p):
		_, _ = io.WriteString(w, p.Text())
	default:
		_, _ = fmt.Fprintf(w, "faults: %v\n", err)
	}
	return exitFailed
}

// serve runs the servers; commands come on descriptor 3, answers go to 4.
func serve(args []string) error {
	var addrs []netip.AddrPort
	for _, a := range args {
		addr, err := netip.ParseAddrPort(a)
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	return serveApps(addrs, os.NewFile(3, "commands"), os.NewFile(4, "answers"))
}

func measureAll(ctx context.Context, o options, stdout, stderr io.Writer) (code int, err error) {
	if os.Geteuid() != 0 {
		report(stderr, &rig.Problem{What: "nothing was measured", Why: fmt.Sprintf("network namespaces need root, and this is uid %d", os.Geteuid()),
			Next: []string{"sudo -E go run ./bench/faults " + strings.Join(os.Args[1:], " ")}})
		return exitIncomplete, nil
	}
	peers, missing := findPeers(ctx, o)
	for _, err := range missing {
		report(stderr, err)
		code = exitIncomplete
	}
	if len(peers) == 0 {
		return code, nil
	}
	lines := json.NewEncoder(io.Discard)
	if o.jsonFile != "" {
		f, err := os.Create(o.jsonFile)
		if err != nil {
			return exitFailed, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		lines = json.NewEncoder(f)
	}
	l, err := newLab(ctx)
	if err != nil {
		return exitFailed, err
	}
	defer l.close()
	var figures strings.Builder
	for _, s := range o.scenarios {
		var rs []result
		for _, p := range peers {
			r, err := l.measure(ctx, s, p, o)
			if ctx.Err() != nil {
				return exitFailed, ctx.Err()
			}
			if err != nil {
				_, _ = fmt.Fprintf(stderr, "faults: %s is left out of %s\n", p.name(), s.name)
				report(stderr, err)
				code = exitIncomplete
				continue
			}
			rs = append(rs, r)
			if err := lines.Encode(r); err != nil {
				return exitFailed, err
			}
		}
		if err := writeTable(io.MultiWriter(stdout, &figures), s, rs); err != nil {
			return exitFailed, err
		}
		if o.docs == "" {
			continue
		}
		fmt.Fprintf(&figures, "![%s](real-%s.svg)\n\n", s.title, s.name)
		if err := writeFile(filepath.Join(o.docs, "real-"+s.name+".svg"), func(w io.Writer) error { return writeSVG(w, s, rs) }); err != nil {
			return exitFailed, err
		}
	}
	if o.docs != "" {
		return code, updatePage(filepath.Join(o.docs, "real.md"), figures.String())
	}
	return code, nil
}

// updatePage writes new figures into the page.
func updatePage(file, figures string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceFigures(string(page), figures)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
