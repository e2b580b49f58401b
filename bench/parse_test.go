package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

func TestProcStatIsReadWhateverTheCommandIsCalled(t *testing.T) {
	for _, tc := range []struct {
		name, line   string
		user, system time.Duration
		bad          bool
	}{
		{name: "an ordinary name", line: "12 (nginx) S 1 12 12 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7", user: 1500 * time.Millisecond, system: 250 * time.Millisecond},
		{name: "spaces and parentheses in the name", line: "12 (a) b (c) R 1 12 12 0 -1 4194560 1 2 3 4 7 9 0 0 20", user: 70 * time.Millisecond, system: 90 * time.Millisecond},
		{name: "cut short", line: "12 (nginx) S 1 12 12 0 -1", bad: true},
		{name: "no name", line: "12 S 1", bad: true},
		{name: "a negative time", line: "12 (nginx) S 1 12 12 0 -1 4194560 1 2 3 4 -5 25 0", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st, err := parseProcStat([]byte(tc.line))
			if (err != nil) != tc.bad {
				t.Fatalf("error %v, want one: %v", err, tc.bad)
			}
			if err == nil && (st.user != tc.user || st.system != tc.system) {
				t.Errorf("user %s, system %s; want %s, %s", st.user, st.system, tc.user, tc.system)
			}
		})
	}
}

func TestResidentMemoryIsInMegabytesOfTenToTheSixth(t *testing.T) {
	mb, err := parseKB([]byte("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   10000 kB\n"), "VmRSS")
	if err != nil || mb != 10.24 {
		t.Fatalf("%v, %v; want 10.24", mb, err)
	}
	for _, bad := range []string{"", "VmRSS: 12 MB\n", "VmRSS: x kB\n", "VmRSS:\n"} {
		if _, err := parseKB([]byte(bad), "VmRSS"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestBusyTimeLeavesOutIdleAndWaiting(t *testing.T) {
	busy, total, err := parseBusy([]byte("cpu  100 10 50 1000 40 0 5 15 0 0\ncpu0 1 2 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	if busy != 1800*time.Millisecond || total != 12200*time.Millisecond {
		t.Errorf("busy %s of %s, want 1.8s of 12.2s", busy, total)
	}
	for _, bad := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 7 x"} {
		if _, _, err := parseBusy([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTheResultLineIsFoundAmongOtherOutput(t *testing.T) {
	out := "Running 10m test @ http://127.0.0.1:1/\n  79997 requests in 1.20s, 11.44MB read\n" +
		"WEFT-BENCH requests=79997 bytes=12000000 micros=1199302 failed=3 p50=27 p99=61 p999=416\n"
	r, err := parseResult([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	want := loadResult{requests: 79997, failed: 3, bytes: 12000000, duration: 1199302 * time.Microsecond, p50: 27 * time.Microsecond, p99: 61 * time.Microsecond, p999: 416 * time.Microsecond}
	if r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	for _, bad := range []string{"", "unable to connect\n", "WEFT-BENCH requests=1\n", "WEFT-BENCH requests=x bytes=1 micros=1 failed=0 p50=1 p99=1 p999=1\n"} {
		if _, err := parseResult([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

const h2loadOutput = `starting benchmark...
finished in 1.20s, 40325.00 req/s, 2.65MB/s
requests: 48390 total, 48392 started, 48390 done, 48380 succeeded, 9 failed, 1 errored, 0 timeout
status codes: 48380 2xx, 0 3xx, 9 4xx, 0 5xx
traffic: 3.18MB (3339008) total, 2.22MB (2322720) headers (space savings 51.02%), 141.77KB (145170) data
`

func TestH2loadCountsOnlyWhatSucceeded(t *testing.T) {
	r, err := parseH2load([]byte(h2loadOutput))
	if err != nil {
		t.Fatal(err)
	}
	if r.requests != 48380 || r.failed != 10 || r.duration != 1200*time.Millisecond || r.bytes != 145170 {
		t.Errorf("%d requests, %d failed in %s; want 48380, 10, 1.2s", r.requests, r.failed, r.duration)
	}
	if _, err := parseH2load([]byte("finished in 1.20s, 0 req/s\n")); err == nil {
		t.Error("output without counts was accepted")
	}
}

func TestLatenciesOfFailedRequestsDoNotCount(t *testing.T) {
	var r loadResult
	log := "1\t200\t30\n2\t200\t10\n3\t-1\t900000\n4\t200\t20\n"
	if err := r.addLatencies(strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	if r.p50 != 20*time.Microsecond || r.p999 != 30*time.Microsecond {
		t.Errorf("p50 %s, p99.9 %s; want 20µs, 30µs", r.p50, r.p999)
	}
	if err := r.addLatencies(strings.NewReader("no tabs\n")); err == nil {
		t.Error("a log that is none was accepted")
	}
}

func TestMessagesQuoteOnlyTheEndOfLongOutput(t *testing.T) {
	got := rig.Excerpt([]byte(strings.Repeat("noise ", 1000) + "\nthe reason"))
	if len(got) > 410 || !strings.HasSuffix(got, "the reason") {
		t.Errorf("%d bytes ending in %q", len(got), got[len(got)-20:])
	}
	if rig.Excerpt(nil) == "" {
		t.Error("silence is not said")
	}
}

func FuzzParsers(f *testing.F) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err == nil {
		f.Add(stat)
	}
	f.Add([]byte(h2loadOutput))
	f.Add([]byte("WEFT-BENCH requests=1 bytes=65 micros=2 failed=0 p50=1 p99=1 p999=1\n"))
	f.Add([]byte("cpu  100 10 50 1000 40 0 5 15 0 0\n"))
	f.Add([]byte("VmRSS:\t 1 kB\n"))
	f.Add([]byte("1\t200\t30\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseProcStat(b)
		_, _ = parseKB(b, "VmRSS")
		_, _, _ = parseBusy(b)
		_, _ = parseResult(b)
		if r, err := parseH2load(b); err == nil && r.duration < 0 {
			t.Errorf("a negative duration: %s", r.duration)
		}
		_ = new(loadResult).addLatencies(strings.NewReader(string(b)))
	})
}
