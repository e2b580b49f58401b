package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-mesh/weft/bench/rig"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with everything passed in; it gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if handled, err := runRole(ctx, args, stdout); handled {
		return report(stderr, err)
	}
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		report(stderr, err)
		return exitUsage
	case o.list:
		for _, c := range o.cases {
			_, _ = fmt.Fprintf(stdout, "%-24s %s\n", c.id(), c.title())
		}
		return exitDone
	}
	code, err := measureAll(ctx, o, stdout, stderr)
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(stderr, "bench: interrupted; everything is stopped and removed")
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
		_, _ = fmt.Fprintf(w, "bench: %v\n", err)
	}
	return exitFailed
}

// measureAll is the whole run.
func measureAll(ctx context.Context, o options, stdout, stderr io.Writer) (code int, err error) {
	if os.Geteuid() != 0 {
		report(stderr, &rig.Problem{What: "nothing was measured", Why: "network namespaces need root, and this is uid " + fmt.Sprint(os.Geteuid()),
			Next: []string{"sudo -E go run ./bench " + strings.Join(os.Args[1:], " ")}})
		return exitIncomplete, nil
	}
	t, err := findTools()
	if err != nil {
		report(stderr, err)
		return exitIncomplete, nil
	}
	// The programs that are started have this limit too: 10,000 connections are asked for.
	if err := allFiles(); err != nil {
		return exitFailed, err
	}
	peers, missing := findPeers(ctx, o.peers, o)
	for _, err := range missing {
		report(stderr, err)
	}
	if len(peers) == 0 {
		return exitIncomplete, nil
	}
	lines, closeLines, err := openLines(o.jsonFile)
	if err != nil {
		return exitFailed, err
	}
	defer func() { err = errors.Join(err, closeLines()) }()
	log := slog.New(slog.NewTextHandler(stderr, nil))
	l, err := newLab(t, log)
	if err != nil {
		return exitFailed, err
	}
	defer l.close()

	end := time.Now().Add(o.budget) // what had to be built or fetched does not count: it happens once
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.name()
	}
	sched := plan(o.budget, o.cases, names, o.rounds)
	info := describe(ctx, peers, t, sched)
	if err := lines.Encode(info); err != nil {
		return exitFailed, err
	}
	_, _ = fmt.Fprintf(stdout, "bench: %d cases, %d peers, %d rounds of %s; %s, %d cores, Linux %s\n", len(o.cases), len(peers), sched.rounds, sched.slot,
		info.Machine, info.Cores, info.Kernel)
	r := &runner{lab: l, peers: peers, plan: sched, end: end, out: stdout, lines: lines, log: log}
	results, err := r.run(ctx, o.cases)
	if err != nil && len(results) == 0 {
		return exitFailed, err
	}
	err = errors.Join(err, writeAll(o, info, results, stdout, lines))
	if err == nil && (r.incomplete || len(missing) > 0 && (o.named || o.quick)) {
		return exitIncomplete, nil
	}
	return exitDone, err
}

// writeAll prints the headline and the goals and writes the plot; with -quick the JSON object is the
// last line.
func writeAll(o options, info runInfo, rs []result, stdout io.Writer, lines *json.Encoder) error {
	err := writeHeadline(stdout, rs)
	goals := reached(rs)
	for _, g := range goals {
		err = errors.Join(err, lines.Encode(g))
	}
	if !o.quick {
		err = errors.Join(err, writeGoals(stdout, goals, busiest(rs)))
	}
	if o.svgFile != "" {
		err = errors.Join(err, writeFile(o.svgFile, func(w io.Writer) error { return writeSVG(w, info, rs) }))
	}
	if o.quick {
		err = errors.Join(err, writeQuick(stdout, rs))
	}
	return err
}

// openLines gives the encoder of JSON lines, to nowhere if there is no file.
func openLines(file string) (*json.Encoder, func() error, error) {
	if file == "" {
		return json.NewEncoder(io.Discard), func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, nil, &rig.Problem{What: "cannot write the JSON lines", Why: err.Error(), Err: err}
	}
	return json.NewEncoder(f), f.Close, nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return &rig.Problem{What: "cannot write " + name, Why: err.Error(), Err: err}
	}
	return errors.Join(write(f), f.Close())
}

// describe tells where and how the run is made.
func describe(ctx context.Context, peers []peer, t tools, s schedule) runInfo {
	info := runInfo{Type: "run", Time: time.Now().UTC().Truncate(time.Second), Machine: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Versions: map[string]string{"go": runtime.Version(), "h2load": rig.FirstLine(ctx, t.h2load, "--version")}, Rounds: s.rounds, Seconds: s.slot.Seconds()}
	for _, p := range peers {
		if v := p.version(); v != "" {
			info.Versions[p.name()] = v
		}
	}
	return info
}

// allFiles lets this process, and those that it starts, have as many files open as it may.
func allFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	l.Cur = l.Max
	// Set anew even if it is so already: the Go runtime raises it for itself at its start and gives
	// its children the old one, unless the program sets it.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	return nil
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "?"
	}
	return unix.ByteSliceToString(u.Release[:])
}
