package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// maxLatencies bounds how many latencies of one run are kept: 4 s at a million a second.
const maxLatencies = 4 << 20

// h2loadArgs gives the arguments for c against url for d. log is the file for each request's
// latency (h2load prints no percentiles); body, if not empty, is the file with the gRPC message.
func h2loadArgs(c benchCase, url, log, body string, d time.Duration) []string {
	conns, streams := c.spread()
	args := []string{"-t1", "-c" + strconv.Itoa(conns), "-m" + strconv.Itoa(streams),
		"-D", strconv.FormatInt(d.Milliseconds(), 10) + "ms", "-T", "5s", "--log-file=" + log}
	if c.proto == protoGRPC {
		args = append(args, "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers")
	}
	return append(args, url)
}

// parseH2load reads the summary of h2load: time, requests, failures.
func parseH2load(out []byte) (loadResult, error) {
	var r loadResult
	var haveTime, haveRequests, haveBytes bool
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "finished in "):
			s, _, _ := strings.Cut(strings.TrimPrefix(line, "finished in "), ",")
			d, err := time.ParseDuration(s)
			if err != nil {
				return r, fmt.Errorf("h2load: time: %w", err)
			}
			r.duration, haveTime = d, true
		case strings.HasPrefix(line, "requests: "):
			v, err := parseCounts(strings.TrimPrefix(line, "requests: "))
			if err != nil {
				return r, err
			}
			r.requests = v["succeeded"]
			r.failed += v["failed"] + v["errored"]
			haveRequests = true
		case strings.HasPrefix(line, "traffic: "):
			n, err := parseTraffic(line)
			if err != nil {
				return r, err
			}
			r.bytes, haveBytes = n, true
		}
	}
	if !haveTime || !haveRequests || !haveBytes {
		return r, fmt.Errorf("h2load printed no result: %s", rig.Excerpt(out))
	}
	return r, nil
}

// parseCounts reads "48390 total, 48392 started, …".
func parseCounts(s string) (map[string]int64, error) {
	v := map[string]int64{}
	for _, part := range strings.Split(s, ",") {
		f := strings.Fields(part)
		if len(f) != 2 {
			return nil, fmt.Errorf("h2load: want \"NUMBER WORD\", have %q", part)
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("h2load: %s: %w", f[1], err)
		}
		v[f[1]] = n
	}
	return v, nil
}

// parseTraffic reads the bytes of bodies at the end of "traffic: …, 141.77KB (145170) data".
func parseTraffic(line string) (int64, error) {
	s, isData := strings.CutSuffix(line, ") data")
	i := strings.LastIndexByte(s, '(')
	if !isData || i < 0 {
		return 0, fmt.Errorf("h2load: want \"… (NUMBER) data\", have %q", line)
	}
	n, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("h2load: bytes of bodies: %w", err)
	}
	return n, nil
}

// addLatencies reads the log of h2load (start, status, microseconds a line) and fills in the
// percentiles of r. Lines of failed requests have -1 as status and do not count.
func (r *loadResult) addLatencies(log io.Reader) error {
	var us []uint32
	sc := bufio.NewScanner(log)
	for sc.Scan() && len(us) < maxLatencies {
		line := sc.Bytes()
		i := bytes.LastIndexByte(line, '\t')
		if i < 0 {
			return fmt.Errorf("h2load log: no tab in %q", line)
		}
		if bytes.Contains(line[:i], []byte("\t-1")) {
			continue
		}
		n, err := strconv.ParseUint(string(line[i+1:]), 10, 32)
		if err != nil {
			return fmt.Errorf("h2load log: latency: %w", err)
		}
		us = append(us, uint32(n))
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("h2load log: %w", err)
	}
	r.setPercentiles(us)
	return nil
}

// setPercentiles sorts latencies, in microseconds, and fills in the percentiles.
func (r *loadResult) setPercentiles(us []uint32) {
	slices.Sort(us)
	at := func(q float64) time.Duration { return time.Duration(percentile(us, q)) * time.Microsecond }
	r.p50, r.p99, r.p999 = at(0.5), at(0.99), at(0.999)
}
