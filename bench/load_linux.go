package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// load puts the load of c on target for d and says what came of it. begin is called just before
// the load: for HTTP before the connections are made (a proxy keeps its own to the next hop); for
// TCP and streams when they all are there, for there each may cost a handshake at the next hop.
func (l *lab) load(ctx context.Context, c benchCase, target string, d time.Duration, begin func() error) (loadResult, error) {
	switch c.kind {
	case kindConn:
		proto := "http"
		if c.proto == protoTCP {
			proto = "tcp"
		}
		return l.run(ctx, d, []string{"load-conn", proto, target, strconv.Itoa(c.conns), d.String()}, begin)
	case kindStream, kindFlow:
		conns, streams := c.spread()
		depth := 1
		if c.kind == kindFlow {
			depth = flowDepth
		}
		return l.run(ctx, d, []string{"load-stream", target, strconv.Itoa(conns), strconv.Itoa(streams), strconv.Itoa(depth), d.String()}, begin)
	}
	url, logFile := "http://"+target+"/"+string(c.body), l.file("h2load.log")
	switch c.proto {
	case protoTCP:
		return l.run(ctx, d, []string{"load-tcp", target, strconv.Itoa(c.conns), strconv.Itoa(c.body.bytes()), d.String()}, begin)
	case protoGRPC:
		return l.h2load(ctx, h2loadArgs(c, "http://"+target+grpcPath(c.body), logFile, l.file("grpc.bin"), d), logFile, d, begin)
	case protoH2:
		return l.h2load(ctx, h2loadArgs(c, url, logFile, "", d), logFile, d, begin)
	}
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	p, err := rig.Start(l.client, "the load generator wrk", append([]string{l.tools.wrk}, wrkArgs(l.file("wrk.lua"), url, c.conns)...), nil)
	if err != nil {
		return loadResult{}, err
	}
	return l.result(ctx, p, true, d)
}

func (l *lab) h2load(ctx context.Context, args []string, logFile string, d time.Duration, begin func() error) (loadResult, error) {
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	p, err := rig.Start(l.client, "the load generator h2load", append([]string{l.tools.h2load}, args...), nil)
	if err != nil {
		return loadResult{}, err
	}
	if err := l.waitLoad(ctx, p, false, d); err != nil {
		return loadResult{}, err
	}
	if p.Err() != nil {
		return loadResult{}, p.Failure()
	}
	r, err := parseH2load(p.Output())
	if err == nil {
		err = readLatencies(&r, logFile)
	}
	r.cpu = p.CPU()
	return r, err
}

// run runs this program as the load generator with these arguments, which takes about d after its
// last step. The steps are called one after the other, each when the generator says that it has
// come so far; it goes on when the step has returned.
func (l *lab) run(ctx context.Context, d time.Duration, args []string, steps ...func() error) (loadResult, error) {
	p, err := l.launch(ctx, args, steps...)
	if err != nil {
		return loadResult{}, err
	}
	return l.result(ctx, p, false, d)
}

// result waits for the end of a load generator of ours, or of wrk, and reads what it says.
func (l *lab) result(ctx context.Context, p *rig.Process, interrupt bool, d time.Duration) (loadResult, error) {
	if err := l.waitLoad(ctx, p, interrupt, d); err != nil {
		return loadResult{}, err
	}
	if p.Err() != nil {
		return loadResult{}, p.Failure()
	}
	r, err := parseResult(p.Output())
	r.cpu = p.CPU()
	return r, err
}

// launch starts the load generator and takes it through its steps.
func (l *lab) launch(ctx context.Context, args []string, steps ...func() error) (*rig.Process, error) {
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	proceedChild, proceed, err := os.Pipe()
	if err != nil {
		_ = readyChild.Close()
		return nil, err
	}
	defer func() { _ = proceed.Close() }()
	p, err := rig.Start(l.client, "the load generator "+args[0], append([]string{l.self}, args...), nil, readyChild, proceedChild)
	_, _ = readyChild.Close(), proceedChild.Close()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, step := range steps {
		if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
			p.Stop()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, p.Failure()
		}
		if err := step(); err != nil {
			p.Stop()
			return nil, err
		}
		if _, err := proceed.Write([]byte{1}); err != nil {
			p.Stop()
			return nil, p.Failure()
		}
	}
	return p, nil
}

// waitLoad waits for the end of a load generator: it interrupts one that does not stop by itself
// after d, and kills one that does not stop at all.
func (l *lab) waitLoad(ctx context.Context, p *rig.Process, interrupt bool, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	late := time.NewTimer(d + 8*time.Second)
	defer late.Stop()
	for {
		select {
		case <-p.Done:
			return nil
		case <-end.C:
			if interrupt {
				p.Interrupt()
			}
		case <-late.C:
			p.Stop()
			return &rig.Problem{What: p.Name + " did not end", Why: rig.Excerpt(p.Output())}
		case <-ctx.Done():
			p.Stop()
			return ctx.Err()
		}
	}
}

func readLatencies(r *loadResult, file string) error {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return err
	}
	err = r.addLatencies(f)
	_ = f.Close()
	_ = os.Remove(file)
	return err
}

// Descriptors by which the bench and a load generator of ours agree on how far it is.
const (
	readyFD = 3 // the load generator writes a byte: it is ready for the next step
	goFD    = 4 // and reads one: go on
)

// agreement is the load generator's end of them.
type agreement struct{ ready, proceed *os.File }

func newAgreement() *agreement {
	return &agreement{os.NewFile(readyFD, "ready"), os.NewFile(goFD, "go")}
}

// step tells the bench that the next step has come and waits until it has done its part.
func (a *agreement) step() error {
	if _, err := a.ready.Write([]byte{1}); err != nil {
		return fmt.Errorf("telling that a step is reached: %w", err)
	}
	if _, err := io.ReadFull(a.proceed, make([]byte, 1)); err != nil {
		return fmt.Errorf("waiting for the word to go on: %w", err)
	}
	return nil
}

// printResult prints the line that parseResult reads.
func printResult(out io.Writer, r loadResult) error {
	_, err := fmt.Fprintf(out, "%srequests=%d bytes=%d micros=%d failed=%d p50=%d p99=%d p999=%d late=%d held=%d\n", resultPrefix,
		r.requests, r.bytes, r.duration.Microseconds(), r.failed, r.p50.Microseconds(), r.p99.Microseconds(), r.p999.Microseconds(),
		r.late.Microseconds(), r.held)
	return err
}
