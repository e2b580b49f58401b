package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/sim/invariant"
)

// TestNothingIsWrongInSomeLives is the short form of `make sim`.
func TestNothingIsWrongInSomeLives(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 8
	}
	total := Many(1, n, 2, func(Result) bool { return false })
	for _, r := range total.Failed {
		t.Errorf("seed %d: %s", r.Seed, r.Findings[0])
	}
	if total.Calm == 0 || total.Calm == n {
		t.Errorf("%d of %d lives were calm", total.Calm, n)
	}
	t.Logf("%d requests, %s of simulated time", total.Requests, total.Lived)
}

// regressions are seeds that found something, and what. A change of the simulation gives a seed
// another life; what it found has a test of its own where it was repaired.
var regressions = []struct {
	seed  uint64
	found string
}{
	{29, "pools that stayed after endpoints without a link had left"},
}

func TestSeedsThatFoundSomething(t *testing.T) {
	for _, x := range regressions {
		if r := Live(Options{Seed: x.seed}); len(r.Findings) > 0 {
			t.Errorf("seed %d, which had found %s: %s", x.seed, x.found, r.Findings[0])
		}
	}
}

func TestASeedHasOneHistory(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		a, b := Live(Options{Seed: seed}), Live(Options{Seed: seed, Story: &bytes.Buffer{}})
		if a.Hash != b.Hash || a.Events != b.Events || a.Requests != b.Requests {
			t.Errorf("seed %d: two lives differ: %d and %d events", seed, a.Events, b.Events)
		}
	}
	if Live(Options{Seed: 1}).Hash == Live(Options{Seed: 2}).Hash {
		t.Error("two seeds have one history")
	}
}

// TestAStoryTellsWhenWhereAndWhat: it is what a person has to go by.
func TestAStoryTellsWhenWhereAndWhat(t *testing.T) {
	var brief, all bytes.Buffer
	seed := uint64(1)
	for Live(Options{Seed: seed}).Calm {
		seed++
	}
	Live(Options{Seed: seed, Story: &brief})
	Live(Options{Seed: seed, Story: &all, All: true})
	for _, want := range []string{"a stormy life", "fault: ", "everything is repaired", "from now on nothing may fail", "edge: proxy starts"} {
		if !strings.Contains(brief.String(), want) {
			t.Errorf("the story does not tell of %q", want)
		}
	}
	if brief.Len()*4 > all.Len() {
		t.Errorf("the brief story has %d bytes, the whole one %d", brief.Len(), all.Len())
	}
}

func TestThePlainReaderReadsWhatHTTPSays(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "head 200, abc, end"},
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "head 200, end"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "head 200, ab, c, end"},
		{"two", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n", "head 200, a, end, head 201, end"},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "head 200, abc, end"},
		{"a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "head 200, bad"},
	} {
		for _, bytewise := range []bool{false, true} {
			var got []string
			var body []byte
			flush := func() {
				if len(body) > 0 && bytewise {
					got = append(got, string(body))
				}
				body = nil
			}
			r := reader{response: true}
			r.onHead = func(first string, _ fields) { got = append(got, "head "+first[9:12]) }
			r.onData = func(p []byte) {
				if body = append(body, p...); !bytewise {
					got = append(got, string(p))
				}
			}
			r.onEnd = func() { flush(); got = append(got, "end") }
			r.onBad = func(string) { got = append(got, "bad") }
			step := len(tc.text)
			if bytewise {
				step = 1
			}
			for i := 0; i < len(tc.text); i += step {
				r.feed([]byte(tc.text[i : i+step]))
			}
			r.over()
			want := tc.want
			if bytewise {
				want = strings.Replace(want, "ab, c", "abc", 1)
			}
			if s := strings.Join(got, ", "); s != want {
				t.Errorf("%s, bytewise %v: %s, want %s", tc.name, bytewise, s, want)
			}
		}
	}
}

// TestAnEventThatNeverHappensIsTold: a simulation that has become lazy must not look like a mesh
// without faults.
func TestAnEventThatNeverHappensIsTold(t *testing.T) {
	total := Total{Lives: EnoughForEvents, Seen: map[invariant.Event]int{}}
	for _, e := range invariant.Events[1:] {
		total.Seen[e] = 1
	}
	var out bytes.Buffer
	total.Tell(&out)
	if want := fmt.Sprintf("never: %s", invariant.Events[0]); !strings.Contains(out.String(), want) {
		t.Errorf("told is\n%s", out.String())
	}
	if never := total.Never(); !slices.Equal(never, invariant.Events[:1]) {
		t.Errorf("never %v", never)
	}
}
