// Command weft-proxy is the data plane: it carries the traffic of workloads. It is started by
// `weft run` and the like, with a configuration in JSON (proxy/config) from -config or standard
// input.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/process"
	"github.com/weft-mesh/weft/version"
)

func main() {
	path := flag.String("config", "", "file with the start-up configuration in JSON (default: standard input)")
	level := flag.String("log-level", "info", "debug, info, warn or error")
	show := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *show {
		fmt.Println("weft-proxy", version.String())
		return
	}
	if err := run(*path, *level); err != nil {
		fmt.Fprintln(os.Stderr, "weft-proxy:", err)
		os.Exit(1)
	}
}

func run(path, level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("-log-level: %w", err)
	}
	var in io.Reader = os.Stdin
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	cfg, err := config.Read(in)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, process.Signals...)
	return process.Run(ctx, cfg, signals, log)
}
