//go:build linux

package attack

import "testing"

// TestB1_02_MadeYouReset: the client makes the proxy reset its streams (CVE-2025-8671). These resets
// are the client's, and counted as its own are.
func TestB1_02_MadeYouReset(t *testing.T) {
	t.Parallel()
	made := func(name string, end bool, then func(id uint32) string) flood {
		return flood{name: name, rounds: 10000, round: func(a *attacker, _ int) string {
			id, s := a.open(end)
			return s + then(id)
		}}
	}
	attackH2(t, []flood{
		made("WINDOW_UPDATE of 0", true, func(id uint32) string { return windowUpdate(id, 0) }),
		made("WINDOW_UPDATE beyond 2^31-1", true, func(id uint32) string { return windowUpdate(id, maxWindowSize) }),
		made("PRIORITY of 4 octets", true, func(id uint32) string { return frame(typePriority, 0, id, "\x00\x00\x00\x00") }),
		made("PRIORITY of 6 octets", true, func(id uint32) string { return frame(typePriority, 0, id, "\x00\x00\x00\x00\x00\x00") }),
		made("PRIORITY on itself", true, func(id uint32) string { return frame(typePriority, 0, id, u32(id)+"\x10") }),
		made("DATA behind the end", true, func(id uint32) string { return data(id, "x") }),
		made("HEADERS behind the end", true, func(id uint32) string { return headers(id, true, "x", "y") }),
		made("trailers that do not end the stream", false, func(id uint32) string { return headers(id, false, "x", "y") }),
		made("malformed trailers", false, func(id uint32) string { return headers(id, true, ":path", "/") }),
		made("a body longer than declared", false, func(id uint32) string { return "" }).with("content-length", "1", func(id uint32) string { return data(id, "xx") }),
		made("a body shorter than declared", false, func(id uint32) string { return "" }).with("content-length", "9", func(id uint32) string { return lastData(id, "xx") }),
		{name: "a head that depends on itself", rounds: 10000, round: func(a *attacker, _ int) string {
			id := a.next
			a.next += 2
			return frame(typeHeaders, flagEndHeaders|flagEndStream|flagPriority, id, u32(id)+"\x10"+block(a.f.head("/hold")...))
		}},
		{name: "malformed heads", rounds: 10000, round: func(a *attacker, _ int) string {
			_, s := a.open(true, "Upper", "case")
			return s
		}},
	})
}

// with is the same with one more field in the head.
func (fl flood) with(name, value string, then func(id uint32) string) flood {
	fl.round = func(a *attacker, _ int) string {
		id, s := a.open(false, name, value)
		return s + then(id)
	}
	return fl
}
