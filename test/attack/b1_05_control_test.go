//go:build linux

package attack

import "testing"

// TestB1_05_ControlFloods: frames that carry nothing and cost their sender nothing (CVE-2019-9512 to
// 9518, CVE-2020-11080).
func TestB1_05_ControlFloods(t *testing.T) {
	t.Parallel()
	always := func(s string) func(*attacker, int) string { return func(*attacker, int) string { return s } }
	ping := frame(typePing, 0, 0, "12345678")
	held := func(a *attacker) string { _, s := a.open(false); return s }
	attackH2(t, []flood{
		{name: "PING (CVE-2019-9512)", rounds: 20000, round: always(ping)},
		{name: "PING whose answers are never read", rounds: 20000, round: always(ping), deaf: true},
		{name: "answers to PINGs that were never sent", rounds: 20000, round: always(frame(typePing, flagAck, 0, "12345678"))},
		{name: "SETTINGS (CVE-2019-9515)", rounds: 20000, round: always(settings())},
		{name: "SETTINGS with an entry", rounds: 20000, round: always(settings(setting(setTableSize, 0)))},
		{name: "acknowledgements of nothing", rounds: 20000, round: always(frame(typeSettings, flagAck, 0, ""))},
		{name: "large SETTINGS (CVE-2020-11080)", rounds: 100, round: always(settings(times(2000, setting(0x99, 1))))},
		{name: "large SETTINGS of one known entry", rounds: 100, round: always(settings(times(2000, setting(setTableSize, 4096))))},
		{name: "PRIORITY (CVE-2019-9513)", rounds: 20000, round: func(_ *attacker, i int) string {
			return frame(typePriority, 0, uint32(2*i+1), "\x00\x00\x00\x00\x10")
		}},
		{name: "HEADERS of nothing (CVE-2019-9516)", rounds: 10000, round: func(a *attacker, _ int) string {
			a.next += 2
			return frame(typeHeaders, flagEndHeaders|flagEndStream, a.next-2, "")
		}},
		{name: "HEADERS of empty names (CVE-2019-9516)", rounds: 10000, round: func(a *attacker, _ int) string {
			a.next += 2
			return headers(a.next-2, true, "", "", "", "", "", "")
		}},
		{name: "empty DATA (CVE-2019-9518)", before: held, rounds: 20000, round: always(data(1, ""))},
		{name: "empty DATA in padding", before: held, rounds: 20000, round: always(frame(typeData, flagPadded, 1, "\xff"+times(255, "\x00")))},
		{name: "DATA on a stream that was reset", rounds: 20000, round: always(data(1, "x")),
			before: func(a *attacker) string { return held(a) + rst(1, codeCancel) }},
		{name: "RST_STREAM on a closed stream", rounds: 20000, round: always(rst(1, codeCancel)),
			before: func(a *attacker) string { return held(a) + rst(1, codeCancel) }},
		{name: "WINDOW_UPDATE of the connection", rounds: 20000, round: always(windowUpdate(0, 1))},
		{name: "WINDOW_UPDATE of a stream", before: held, rounds: 20000, round: always(windowUpdate(1, 1))},
		{name: "GOAWAY", rounds: 20000, round: always(goAway(0, codeNone))},
		{name: "unknown types", rounds: 20000, round: always(frame(0x42, 0xff, 0, ""))},
		{name: "large frames of unknown types", rounds: 6000, round: always(frame(0x42, 0, 0, times(16384, "x")))},
	})
}

// TestB1_05_BudgetsDoNotGrow: honest streams, one after the other, do not buy a right to flood
// (Envoy 45077).
func TestB1_05_BudgetsDoNotGrow(t *testing.T) {
	t.Parallel()
	x, all := fronts(t)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			fl := flood{rounds: 20000, round: func(*attacker, int) string { return frame(typePing, 0, 0, "12345678") }, meet: func(h *h2conn) {
				for range 20 {
					var open []uint32
					for range 100 {
						open = append(open, h.open(f.head("/quick")...))
					}
					for _, id := range open {
						if s := h.result(id, patience); s.status != "200" {
							t.Fatalf("an honest request: %s", &s)
						}
					}
				}
			}}
			fl.run(t, x, f, f.dial(t))
		})
	}
}
