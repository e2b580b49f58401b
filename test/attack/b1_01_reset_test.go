//go:build linux

package attack

import "testing"

// TestB1_01_RapidReset: requests that are cancelled as soon as they are sent (CVE-2023-44487).
func TestB1_01_RapidReset(t *testing.T) {
	t.Parallel()
	attackH2(t, []flood{
		{name: "HEADERS and RST_STREAM", rounds: 10000, round: func(a *attacker, _ int) string {
			id, s := a.open(true)
			return s + rst(id, codeCancel)
		}},
		{name: "with a body under way", rounds: 10000, round: func(a *attacker, _ int) string {
			id, s := a.open(false)
			return s + data(id, "x") + rst(id, codeCancel)
		}},
		{name: "in sets of all streams that are permitted", rounds: 10, events: 2000, round: func(a *attacker, _ int) (out string) {
			from := a.next
			for range a.f.streams {
				_, s := a.open(true)
				out += s
			}
			for id := from; id < a.next; id += 2 {
				out += rst(id, codeCancel)
			}
			return out
		}},
		{name: "more streams than permitted", rounds: 10000, round: func(a *attacker, _ int) string {
			_, s := a.open(true)
			return s
		}},
	})
}
