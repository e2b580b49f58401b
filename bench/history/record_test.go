package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what it was; look at it, then -update\n%s", file, got)
	}
}

func TestARunBecomesARelease(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Record(f, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.text()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "run.json", b)
}

func TestWhatIsNoRunIsRefusedWithItsLine(t *testing.T) {
	const (
		run     = `{"type":"run","time":"2026-12-01T10:20:30Z"}` + "\n"
		summary = `{"type":"summary","case":"a","peer":"weft","rounds":1,"cpu_us":1}` + "\n"
	)
	for _, c := range []struct{ name, lines, want string }{
		{"nothing", "", `"run"`},
		{"no summary", run, `"summary"`},
		{"only peers that were not measured", run + `{"type":"summary","case":"a","peer":"weft","rounds":0}`, `"summary"`},
		{"no description", summary, `"run"`},
		{"a description without a time", `{"type":"run"}` + "\n" + summary, `"run"`},
		{"two runs in one file", run + summary + run, "line 3"},
		{"no JSON", run + "oops", "line 2"},
		{"cut off", run + summary + `{"type":"summ`, "line 3"},
		{"a summary of nothing", run + `{"type":"summary","rounds":1}`, "line 2"},
		{"figures of another form", run + `{"type":"summary","case":"a","peer":"weft","rounds":1,"figures":7}`, "line 2"},
		{"a line without end", run + strings.Repeat("x", maxLine+1), "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Record(strings.NewReader(c.lines), "v1"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something about %s", err, c.want)
			}
		})
	}
}

func TestFiguresKeepFourDigits(t *testing.T) {
	for v, want := range map[float64]float64{23.712345: 23.71, 5630.49: 5630, 0.000123456: 0.0001235, 1e300: 1e300, 5e-324: 5e-324, 0: 0, -1.23456: -1.235} {
		if got := rounded(v); got != want {
			t.Errorf("%v becomes %v, want %v", v, got, want)
		}
	}
}
