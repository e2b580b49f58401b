package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func limited(l ...model.RateLimit) *model.Policy {
	p := model.DefaultPolicy
	p.Guard.RateLimits = l
	return &p
}

func TestWhoAsksTooOftenIsTold(t *testing.T) {
	both(t, limited(model.RateLimit{Name: "each", By: model.LimitIdentity, Rate: 0.25, Burst: 1}), func(t *testing.T, g *guardRig) {
		g.get("/a")
		got := string(g.get("/b").in)
		for _, want := range []string{"HTTP/1.1 429 ", "\r\nweft-code: W3325\r\n", "\r\nretry-after: 4\r\n", "\r\nratelimit: \"each\";r=0;t=4\r\n", "proxy-status: weft; error=http_request_denied"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if len(g.heard) != 1 {
			t.Errorf("the application has %q", g.heard)
		}
		g.pass(4 * time.Second)
		if g.get("/c"); len(g.heard) != 2 {
			t.Errorf("later the application has %q", g.heard)
		}
	})
}

// A caller that is not told how a path is written has no way around a limit on it.
func TestALimitOnAPathHoldsForEverySpelling(t *testing.T) {
	g := newGuardRig(t, false, nil, limited(model.RateLimit{Name: "api", Path: &model.PathMatch{Value: "/api"}, Rate: 0.01, Burst: 1}))
	g.get("/api/x")
	for _, path := range []string{"/api/y", "/%61pi", "/x/../api?q", "/./api/"} {
		if got := string(g.get(path).in); !strings.HasPrefix(got, "HTTP/1.1 429 ") {
			t.Errorf("%s: %q", path, got)
		}
	}
	if g.get("/apis"); g.heard[len(g.heard)-1] != "GET /apis" {
		t.Errorf("another path did not get through: %q", g.heard)
	}
}

func TestARateLimitServiceDecides(t *testing.T) {
	limit := func(deny bool) *model.Policy {
		return limited(model.RateLimit{Name: "all", Global: &model.GlobalLimit{Domain: "d", Deny: deny}})
	}
	for _, c := range []struct {
		name   string
		deny   bool
		answer LimitAnswer
		want   string // of the refusal; empty: it passes
		count  string
	}{
		{"below the limit", false, LimitPass, "", ""},
		{"above", false, LimitOver, "W3326", "W3326"},
		{"no answer", false, LimitError, "", "W3328"},
		{"no answer, and deny", true, LimitError, "W3327", "W3327"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, limit(c.deny), func(t *testing.T, g *guardRig) {
				g.limits = map[string]LimitAnswer{"all": c.answer}
				got := string(g.get("/a").in)
				if c.want == "" && len(g.heard) != 1 || c.want != "" && !strings.Contains(got, "weft-code: "+c.want) {
					t.Errorf("got %q, the application has %q", got, g.heard)
				}
				if c.count != "" && g.refused(c.count) != 1 {
					t.Errorf("%s was not counted", c.count)
				}
				if g.at.asked != 0 {
					t.Errorf("%d questions are still under way", g.at.asked)
				}
			})
		})
	}
}

// One refusal is enough, and each service's silence is judged by its own limit.
func TestEveryGlobalLimitMustAgree(t *testing.T) {
	p := limited(
		model.RateLimit{Name: "first", Global: &model.GlobalLimit{Domain: "d"}},
		model.RateLimit{Name: "second", Global: &model.GlobalLimit{Domain: "d"}},
	)
	g := newGuardRig(t, false, nil, p)
	g.limits = map[string]LimitAnswer{"first": LimitError, "second": LimitOver}
	if got := string(g.get("/a").in); !strings.Contains(got, "W3326") || !strings.Contains(got, "second") {
		t.Errorf("got %q", got)
	}
}

// An answer that comes after its caller has gone meets nobody, least of all the next request.
func TestAnAnswerForACallerThatHasGoneIsDropped(t *testing.T) {
	g := newGuardRig(t, false, nil, limited(model.RateLimit{Name: "all", Global: &model.GlobalLimit{Domain: "d"}}))
	var answers []func()
	g.askLimit = func(h *host, q *Question, about LimitQuery) {
		answers = append(answers, func() { h.core.LimitAnswered(q, about, LimitOver, 0) })
	}
	a := g.get("/a")
	g.hangUp(a)
	b := g.get("/b")
	if len(answers) != 2 {
		t.Fatalf("%d questions", len(answers))
	}
	answers[0]()
	g.settle()
	g.settle()
	if len(b.in) != 0 {
		t.Errorf("the next request got %q", b.in)
	}
	answers[1]()
	g.settle()
	g.settle()
	if !strings.Contains(string(b.in), "W3326") {
		t.Errorf("got %q", b.in)
	}
}

func TestQuestionsToServicesAreBounded(t *testing.T) {
	g := newGuardRig(t, false, nil, limited(model.RateLimit{Name: "all", Global: &model.GlobalLimit{Domain: "d"}}))
	g.at.asked = maxAsked
	if g.get("/a"); len(g.heard) != 1 || g.refused("W3328") != 1 {
		t.Errorf("the application has %q", g.heard)
	}
}
