package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"time"
)

// runRole runs this program as one of the backends or load generators that the bench starts.
func runRole(ctx context.Context, args []string, out io.Writer) (handled bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	role, a := args[0], &arguments{rest: args[1:]}
	switch role {
	case "serve-grpc":
		addr := a.text()
		return true, a.then(func() error { return serveGRPC(ctx, addr) })
	case "serve-tcp":
		addr := a.text()
		signal.Reset() // its loop knows no context; signals end it
		return true, a.then(func() error { return serveTCP(addr) })
	case "serve-bulk":
		h1, h2, tcp := a.text(), a.text(), a.text()
		return true, a.then(func() error { return serveBulk(ctx, h1, h2, tcp) })
	}
	run := loadRole(ctx, role, a, newAgreement().step)
	if run == nil {
		return false, nil
	}
	return true, a.then(func() error {
		r, err := run()
		if err != nil {
			return err
		}
		return printResult(out, r)
	})
}

// loadRole gives the load generator of that name with its arguments read, or nil if there is none.
func loadRole(ctx context.Context, role string, a *arguments, step func() error) func() (loadResult, error) {
	switch role {
	case "load-tcp":
		target, conns, size, d := a.target(), a.number(), a.number(), a.duration()
		signal.Reset() // its loop knows no context; signals end it
		return func() (loadResult, error) { return loadTCP(target, conns, size, d, step) }
	case "load-conn":
		proto, target, atOnce, d := a.text(), a.target(), a.number(), a.duration()
		signal.Reset()
		return func() (loadResult, error) { return loadShort(proto, target, atOnce, d, step) }
	case "load-rate":
		target, conns, rate, d := a.target(), a.number(), a.number(), a.duration()
		return func() (loadResult, error) { return loadRate(target, conns, rate, d, ctx.Done(), step) }
	case "load-idle":
		target, idle, active, rate, d := a.target(), a.number(), a.number(), a.number(), a.duration()
		signal.Reset()
		return func() (loadResult, error) { return loadIdle(target, idle, active, rate, d, step) }
	case "load-stream":
		target, conns, streams, depth, d := a.text(), a.number(), a.number(), a.number(), a.duration()
		return func() (loadResult, error) { return loadStream(ctx, target, conns, streams, depth, d, step) }
	case "load-bulk":
		proto, way, target, n := protocol(a.text()), a.text(), a.text(), a.number()
		return func() (loadResult, error) { return loadBulk(ctx, proto, way == "up", target, int64(n), step) }
	case "load-link":
		mode, file, n, d := a.text(), a.text(), a.number(), a.duration()
		return func() (loadResult, error) {
			c, err := readLinkConfig(file)
			switch {
			case err != nil:
				return loadResult{}, err
			case mode == "new":
				return loadNewLinks(ctx, c, n, d, step)
			}
			return loadIdleLinks(ctx, c, n, step)
		}
	}
	return nil
}

func readLinkConfig(file string) (c linkConfig, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

// arguments are read one after the other; the first error is kept.
type arguments struct {
	rest []string
	err  error
}

func (a *arguments) text() string {
	if len(a.rest) == 0 {
		if a.err == nil {
			a.err = fmt.Errorf("too few arguments")
		}
		return ""
	}
	s := a.rest[0]
	a.rest = a.rest[1:]
	return s
}

func read[T any](a *arguments, parse func(string) (T, error)) T {
	v, err := parse(a.text())
	if err != nil && a.err == nil {
		a.err = err
	}
	return v
}

func (a *arguments) number() int             { return read(a, strconv.Atoi) }
func (a *arguments) duration() time.Duration { return read(a, time.ParseDuration) }
func (a *arguments) target() netip.AddrPort  { return read(a, netip.ParseAddrPort) }

// then calls f if all arguments could be read and none is left.
func (a *arguments) then(f func() error) error {
	if a.err == nil && len(a.rest) > 0 {
		a.err = fmt.Errorf("unexpected arguments %q", a.rest)
	}
	if a.err != nil {
		return a.err
	}
	return f()
}
