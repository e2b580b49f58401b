package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// startUp takes the one sample of what a proxy is before it does anything: how long it takes to
// become ready, without and with the last good state on disk, how large it is then and on disk, and
// how large the control plane is. The control plane runs; the identity comes from it both times.
func (r *runner) startUp(ctx context.Context, w *work) (sample, error) {
	s, k := w.measured(), w.c.kind
	us, ok := w.p.(weft)
	if !ok {
		return s, fmt.Errorf("only weft says when it is ready")
	}
	dir, err := os.MkdirTemp(r.lab.dir, "start-")
	if err != nil {
		return s, err
	}
	var without, with []float64
	for i := range w.c.conns {
		ms, err := us.timeStart(ctx, r.lab, w, filepath.Join(dir, fmt.Sprintf("without-%d", i)), fmt.Sprintf("new-%d", i), i)
		if err != nil {
			return s, err
		}
		without = append(without, ms)
	}
	kept := filepath.Join(dir, "with")
	for i := range 1 + w.c.conns { // the first writes the state
		ms, err := us.timeStart(ctx, r.lab, w, kept, "kept", w.c.conns+i)
		if err != nil {
			return s, err
		}
		if i > 0 {
			with = append(with, ms)
			continue
		}
		if files, err := os.ReadDir(kept); err != nil || len(files) == 0 {
			return s, fmt.Errorf("no state was kept in %s: %d files, %w", kept, len(files), err)
		}
	}
	s.set(k, "ready_ms", median(without))
	s.set(k, "ready_kept_ms", median(with))
	if err := wait(ctx, calm); err != nil {
		return s, err
	}
	return s, s.setSizes(k, us.proxy, w.d)
}

// setSizes fills in the sizes of the larger proxy, its program and the control plane.
func (s *sample) setSizes(k kind, program string, d *deployment) error {
	st, err := os.Stat(program)
	if err != nil {
		return err
	}
	s.set(k, "binary_mb", float64(st.Size())/1e6)
	var most memory
	for _, p := range d.proxies {
		m, err := readMemory(p.PID())
		if err != nil {
			return fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		if m.rss > most.rss {
			most = m
		}
	}
	s.set(k, "rss_mb", most.rss)
	s.set(k, "rss_anon_mb", most.anonymous)
	s.set(k, "rss_file_mb", most.file)
	s.set(k, "pss_mb", most.pss)
	control, err := readMemory(d.others[0].PID())
	if err != nil {
		return fmt.Errorf("memory of the control plane: %w", err)
	}
	s.set(k, "control_rss_mb", control.rss)
	s.set(k, "control_anon_mb", control.anonymous)
	return nil
}

// decide takes the one sample of the decision alone, with the benchmark of its package.
func (r *runner) decide(ctx context.Context, w *work) (sample, error) {
	s, k := w.measured(), w.c.kind
	if _, err := os.Stat("decide/bench_test.go"); err != nil {
		return s, fmt.Errorf("the benchmark of the decision is in the source: run the bench at the top of the repository: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecide$", "-benchmem", "-benchtime", "200ms", "-count", "3", "./decide")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("the benchmark of the decision: %w: %s", err, rig.Excerpt(out))
	}
	ns, allocs, err := parseDecide(out)
	if err != nil {
		return s, err
	}
	for _, routes := range []int{1, 100, 10_000} {
		s.set(k, fmt.Sprintf("routes_%d_ns", routes), ns[routes])
	}
	s.set(k, "routes_10000_vs_1", ns[10_000]/ns[1])
	s.set(k, "allocs", allocs)
	return s, nil
}
