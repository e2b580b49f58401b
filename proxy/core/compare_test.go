package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// compared is a town whose requests for cart are mirrored to cart-new and compared with cart-same.
func compared(t *testing.T, headers ...string) *town {
	w := newTown(t)
	route := split("cart", 1)
	rule := &route.Rules[0]
	rule.Filters = []model.Filter{{Mirror: &model.Mirror{Backend: model.Backend{Service: model.Name{Namespace: "shop", Name: "cart-new"}, Port: 80}}}}
	rule.Calls = &callsWith(func(c *model.Calls) {
		c.Compare = &model.Compare{Baseline: model.Backend{Service: model.Name{Namespace: "shop", Name: "cart-same"}, Port: 80}, Headers: headers}
	}).Calls
	w.add("cart", 1, nil, route)
	w.add("cart-new", 1, nil)
	w.add("cart-same", 1, nil)
	w.answer = func(string, string) string { return answerWith("hello") }
	w.open()
	return w
}

// only is the one comparison that there is.
func (w *town) only() Comparison {
	w.t.Helper()
	all := w.client.core.Comparisons()
	if len(all) != 1 {
		w.t.Fatalf("there are %d comparisons", len(all))
	}
	return all[0]
}

func TestAnswersOfTheCandidateAreComparedAndNoiseIsTakenOut(t *testing.T) {
	for _, c := range []struct {
		name                       string
		primary, candidate, second string
		noisy, different           uint64
		what                       []string
	}{
		{"all the same", answerWith("a"), answerWith("a"), answerWith("a"), 0, 0, nil},
		{"another status", answerWith("a"), strings.Replace(answerWith("a"), "200", "500", 1), answerWith("a"), 0, 1, []string{"status: 200, candidate 500"}},
		{"another body of the same length", answerWith("a"), answerWith("b"), answerWith("a"), 0, 1, []string{"body: 1 bytes, candidate as many others"}},
		{"a longer body", answerWith("a"), answerWith("abc"), answerWith("a"), 0, 1, []string{"body: 1 bytes, candidate 3 bytes"}},
		{"another field", answerWith("a", "X-A: 1"), answerWith("a", "X-A: 2"), answerWith("a", "X-A: 1"), 0, 1, []string{"field x-a"}},
		{"a field less", answerWith("a", "X-A: 1"), answerWith("a"), answerWith("a", "X-A: 1"), 0, 1, []string{"field x-a"}},
		{"a field that is not compared", answerWith("a", "Date: 1"), answerWith("a", "Date: 2"), answerWith("a", "Date: 1"), 0, 0, nil},
		{"a body that is never the same", answerWith("a"), answerWith("b"), answerWith("c"), 1, 0, nil},
		{"noise in one part, a difference in another", answerWith("a", "X-A: 1"), answerWith("b", "X-A: 2"), answerWith("c", "X-A: 1"), 1, 1, []string{"field x-a"}},
		{"grpc-status", answerWith("", "grpc-status: 0"), answerWith("", "grpc-status: 13"), answerWith("", "grpc-status: 0"), 0, 1, []string{"grpc-status: 0, candidate 13"}},
		{"noise that the candidate has not", answerWith("a"), answerWith("a"), answerWith("c"), 1, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := compared(t, "x-a", "x-b")
			w.answer = func(name, _ string) string {
				return map[string]string{"cart-0": c.primary, "cart-new-0": c.candidate, "cart-same-0": c.second}[name]
			}
			if got := w.get("Content-Type: application/json"); got == "" || bodyOf(got) != bodyOf(c.primary) {
				t.Fatalf("the client got %q", got)
			}
			if w.served["cart-new"] != 1 || w.served["cart-same"] != 1 {
				t.Fatalf("served %v", w.served)
			}
			got := w.only()
			if got.Compared != 1 || got.Noisy != c.noisy || got.Different != c.different || got.Incomplete != 0 {
				t.Errorf("%+v", got)
			}
			var what []string
			for _, d := range got.Differences {
				what = append(what, d.What...)
				if d.Path != "/items" || d.Method != "GET" || d.Unix < rigBegin.Unix() {
					t.Errorf("the difference is of %+v", d)
				}
			}
			if !slices.Equal(what, c.what) {
				t.Errorf("it says %q", what)
			}
			if got.Rule != "HTTPRoute shop/cart rule 0" || got.Service.Name != "cart" || got.Candidate.Name != "cart-new" || got.Baseline.Name != "cart-same" {
				t.Errorf("it is about %+v", got)
			}
		})
	}
}

func TestTheOriginalNeverWaitsForAComparison(t *testing.T) {
	w := compared(t)
	w.answer = func(name, _ string) string {
		if name != "cart-0" {
			return ""
		}
		return answerWith("hello")
	}
	if got := w.get(); bodyOf(got) != "hello" {
		t.Fatalf("the client got %q", got)
	}
	if got := w.only(); got.Compared+got.Incomplete != 0 {
		t.Errorf("it is over before the others answered: %+v", got)
	}
	w.now += 31 * time.Second // the copies are given up
	w.settle()
	if got := w.only(); got.Incomplete != 1 || got.Compared != 0 {
		t.Errorf("after the copies were given up: %+v", got)
	}
	if w.client.core.comparing != 0 {
		t.Errorf("%d are under way for ever", w.client.core.comparing)
	}
}

func TestAnswersThatBreakOffAreNotCompared(t *testing.T) {
	for _, who := range []string{"cart-0", "cart-new-0", "cart-same-0"} {
		w := compared(t)
		w.answer = func(name, _ string) string {
			if name == who {
				return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel"
			}
			return answerWith("hello")
		}
		c := w.dial()
		c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
		w.settle()
		for _, p := range slices.Clone(w.pipes) {
			if p.app {
				p.other.eof = true
			}
		}
		w.settle()
		if got := w.only(); got.Incomplete != 1 || got.Compared != 0 {
			t.Errorf("%s breaks off: %+v", who, got)
		}
	}
}

func TestAServiceThatIsNotThereMakesNoComparison(t *testing.T) {
	w := compared(t)
	w.endpoints(model.Name{Namespace: "shop", Name: "cart-same"}, 0)
	w.open()
	if got := w.get(); bodyOf(got) != "hello" {
		t.Fatalf("the client got %q", got)
	}
	if got := w.only(); got.Incomplete != 1 || w.client.core.comparing != 0 {
		t.Errorf("%+v, %d under way", got, w.client.core.comparing)
	}
}

func TestBodiesAreComparedUpToABoundAndTheirLengthsBeyondIt(t *testing.T) {
	long := strings.Repeat("l", comparedBody)
	for _, c := range []struct {
		name, primary, candidate string
		different                uint64
	}{
		{"other bytes behind the bound", long + "aaaa", long + "bbbb", 0},
		{"other bytes before it", long + "aaaa", "x" + long[1:] + "aaaa", 1},
		{"another length", long + "aaaa", long + "aaaaa", 1},
	} {
		w := compared(t)
		w.answer = func(name, _ string) string {
			if name == "cart-new-0" {
				return answerWith(c.candidate)
			}
			return answerWith(c.primary)
		}
		w.get()
		if got := w.only(); got.Compared != 1 || got.Different != c.different {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestOnlyTheLatestDifferencesAreKept(t *testing.T) {
	w := compared(t)
	w.answer = func(name, _ string) string {
		if name == "cart-new-0" {
			return answerWith("other")
		}
		return answerWith("hello")
	}
	for i := range 3 * keptDifferences {
		w.ask(fmt.Sprintf("GET /%d%s?token=secret HTTP/1.1\r\nHost: cart\r\n\r\n", i, strings.Repeat("x", 300)))
	}
	got := w.only()
	if got.Different != 3*keptDifferences || len(got.Differences) != keptDifferences {
		t.Fatalf("%d differences, %d kept", got.Different, len(got.Differences))
	}
	last := got.Differences[keptDifferences-1]
	if !strings.HasPrefix(last.Path, fmt.Sprintf("/%dx", 3*keptDifferences-1)) || len(last.Path) > comparedPath || strings.Contains(last.Path, "secret") {
		t.Errorf("the last is %q", last.Path)
	}
}

func TestRequestsThatWaitInComparisonsAreBounded(t *testing.T) {
	w := compared(t)
	w.client.core.comparing = maxComparing
	w.get()
	if got := w.only(); got.Skipped != 1 || got.Compared != 0 || w.served["cart-same"] != 0 || w.served["cart-new"] != 1 {
		t.Errorf("%+v, served %v", got, w.served)
	}
}

func TestARequestThatIsAbortedOnPurposeIsNotMirrored(t *testing.T) {
	w := compared(t)
	s := w.view.Services[model.Name{Namespace: "shop", Name: "cart"}]
	changed := *s
	calls := *s.Routes[0].Rules[0].Calls
	calls.Faults = []model.Fault{{Status: 503, PerMillion: 1_000_000}}
	changed.Routes = slices.Clone(s.Routes)
	changed.Routes[0].Rules = slices.Clone(s.Routes[0].Rules)
	changed.Routes[0].Rules[0].Calls = &calls
	w.view.Services[s.Name] = &changed
	w.open()
	if got := w.get(); !strings.HasPrefix(got, "HTTP/1.1 503 ") || len(w.served) != 0 {
		t.Errorf("got %q, served %v", got, w.served)
	}
}
