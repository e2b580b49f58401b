package main

import (
	"strings"
	"testing"
)

func TestAnAnswerIsReadInWhateverPiecesItComes(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 5\r\n\r\nhello"
	for size := 1; size <= len(text); size++ {
		var a answer
		for at := 0; at < len(text); at += size {
			end := min(at+size, len(text))
			done, err := a.feed([]byte(text[at:end]))
			if err != nil || done != (end == len(text)) {
				t.Fatalf("pieces of %d, at %d: done %v, error %v", size, at, done, err)
			}
		}
		if a.length != 5 {
			t.Errorf("pieces of %d: a body of %d bytes", size, a.length)
		}
	}
}

func TestAnAnswerThatIsNotWhatWasAskedForIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"another status":     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
		"no length":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a bad length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"more than declared": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
		"an endless head":    "HTTP/1.1 200 OK\r\nx: " + strings.Repeat("y", maxHead) + "\r\n",
	} {
		var a answer
		if done, err := a.feed([]byte(text)); err == nil || done {
			t.Errorf("%s: done %v, error %v", name, done, err)
		}
	}
}

func TestTheBenchmarkOfTheDecisionIsRead(t *testing.T) {
	const out = `goos: linux
BenchmarkDecide/routes=1/prefix-2         	  482384	       100.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/routes=1/prefix-2         	  482384	       120 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/routes=1/prefix-2         	  482384	       900 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/routes=1/exact-2          	  482384	       110 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/routes=100/exact          	  482384	       150 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/routes=10000/catchall-16  	  482384	       240 ns/op	      16 B/op	       1 allocs/op
PASS
`
	ns, allocs, err := parseDecide([]byte(out))
	if err != nil || ns[1] != 120 || ns[100] != 150 || ns[10_000] != 240 || allocs != 1 {
		t.Errorf("%v, %v allocations, %v; want the slowest path's median, and the most allocations", ns, allocs, err)
	}
	if _, _, err := parseDecide([]byte(strings.ReplaceAll(out, "routes=100/", "routes=99/"))); err == nil {
		t.Error("a number of routes is missing and nothing is said")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		var a answer
		cut = min(max(cut, 0), len(text))
		done, err := a.feed(text[:cut])
		if err == nil && !done {
			done, err = a.feed(text[cut:])
		}
		if done && (err != nil || a.have != a.length) {
			t.Errorf("done with %d of %d bytes, %v", a.have, a.length, err)
		}
	})
}
