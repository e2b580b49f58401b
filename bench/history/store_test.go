package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWhatIsRecordedIsReadBackTheSame holds the committed results to the form that is written, so
// that recording again changes nothing but what was measured.
func TestWhatIsRecordedIsReadBackTheSame(t *testing.T) {
	all, err := load("results")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no release is recorded")
	}
	dir := t.TempDir()
	for i := range all {
		name, err := save(dir, &all[i])
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("results", filepath.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s would be written as\n%.2000s", name, got)
		}
	}
}

func TestThePlotInTheDocumentationIsThatOfTheResults(t *testing.T) {
	all, err := load("results")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	plot(&b, all)
	have, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance-history.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Error("docs/performance-history.svg is out of date: go run ./bench/history")
	}
}

func TestReleasesAreOrderedByTime(t *testing.T) {
	dir := t.TempDir()
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for i, v := range []string{"v0.9.0", "v0.10.0", "v0.8.0"} {
		if _, err := save(dir, &Release{Version: v, Time: day.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all {
		got = append(got, r.Version)
	}
	if want := []string{"v0.9.0", "v0.10.0", "v0.8.0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAVersionThatIsNoFileNameIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"", "../../etc/x", "a/b", ".hidden", "a b", strings.Repeat("v", 65)} {
		if name, err := save(dir, &Release{Version: v}); err == nil {
			t.Errorf("%q was written to %s", v, name)
		}
	}
}

func TestARunOnABusyMachineIsRecordedWithAWarning(t *testing.T) {
	dir := t.TempDir()
	for busy, want := range map[string]bool{"0.02": false, "0.84": true} {
		lines := `{"type":"run","time":"2026-12-01T10:20:30Z"}` + "\n" + `{"type":"summary","case":"a","peer":"weft","rounds":1,"cpu_us":1,"other_busy":` + busy + "}\n"
		file := filepath.Join(dir, "run.jsonl")
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run([]string{"-results", dir, "-svg", filepath.Join(dir, "p.svg"), "-add", file, "-version", "v1"}, &out, &errs); code != 0 {
			t.Fatal(&errs)
		}
		if got := strings.Contains(out.String(), "84 %"); got != want {
			t.Errorf("others used %s: said so %v", busy, got)
		}
	}
}

func TestAddingARunWritesItsFileAndThePlot(t *testing.T) {
	dir := t.TempDir()
	results, svg := filepath.Join(dir, "results"), filepath.Join(dir, "plot.svg")
	args := []string{"-results", results, "-svg", svg}
	var out, errs bytes.Buffer
	if code := run(args, &out, &errs); code != 1 || !strings.Contains(errs.String(), "no release") {
		t.Errorf("with nothing recorded: exit %d, %s", code, &errs)
	}
	errs.Reset()
	for range 2 { // again: the same release, replaced
		if code := run(append(args, "-add", filepath.Join("testdata", "run.jsonl"), "-version", "v1.0.0"), &out, &errs); code != 0 {
			t.Fatalf("exit %d: %s", code, &errs)
		}
	}
	all, err := load(results)
	if err != nil || len(all) != 1 || all[0].Version != "v1.0.0" {
		t.Errorf("recorded %v, %v", all, err)
	}
	if _, err := os.Stat(filepath.Join(results, "2026-12-01-v1.0.0.json")); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(svg)
	if err != nil || !bytes.Contains(b, []byte("HAProxy 0.75")) {
		t.Errorf("the plot does not say it: %v", err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-add", filepath.Join(dir, "none")}, 1, "make bench"},
		{[]string{"-add", svg}, 1, "line 1"},
		{[]string{"-add", filepath.Join("testdata", "run.jsonl"), "-version", "a/b"}, 1, "version"},
		{[]string{"-nonsense"}, 2, "nonsense"},
		{[]string{"extra"}, 2, "extra"},
		{[]string{"-h"}, 0, "-version"},
	} {
		errs.Reset()
		if code := run(append(slices.Clone(args), c.args...), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%v: exit %d, want %d; %s", c.args, code, c.code, &errs)
		}
	}
}
