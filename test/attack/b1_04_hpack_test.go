//go:build linux

package attack

import "testing"

// TestB1_04_HPACKBombs: a few octets that decode to many (CVE-2016-6581, CVE-2022-41723). What counts
// against the limit is what is decoded, with cookies, trailers and whatever is dropped.
func TestB1_04_HPACKBombs(t *testing.T) {
	t.Parallel()
	// 0x40: literal with indexing; 62 is the newest entry of the dynamic table.
	entry := func(name, value string) string {
		return "\x40" + hpackInt(0, 7, len(name)) + name + hpackInt(0, 7, len(value)) + value
	}
	const newest = "\xbe"
	bomb := func(name, payload string) flood {
		return flood{name: name, rounds: 1, round: func(a *attacker, _ int) string {
			return frame(typeHeaders, flagEndHeaders|flagEndStream, 1, block(a.f.head("/hold")...)+payload)
		}}
	}
	trailing := func(name, payload string) flood {
		return flood{name: name, rounds: 1, round: func(a *attacker, _ int) string {
			_, s := a.open(false)
			return s + frame(typeHeaders, flagEndHeaders|flagEndStream, 1, payload)
		}}
	}
	attackH2(t, []flood{
		bomb("one entry of 4 KiB, 10,000 times", entry("x", times(3900, "v"))+times(10000, newest)),
		bomb("10,000 crumbs of cookie (CVE-2026-47774)", times(10000, "\xa0")),
		bomb("10,000 crumbs with a value", entry("cookie", times(100, "c"))+times(9000, newest)),
		bomb("10,000 hosts (CVE-2026-73550)", times(10000, "\xa6")),
		bomb("10,000 fields of one octet", entry("x", "")+times(10000, newest)),
		bomb("10,000 fields that are dropped", entry("proxy-authorization", "x")+times(10000, newest)),
		bomb("10,000 fields that are refused", entry("connection", "x")+times(10000, newest)),
		bomb("Trailer, 10,000 times (CVE-2026-78659)", entry("trailer", "x")+times(10000, newest)),
		trailing("10,000 crumbs as trailers", times(10000, "\xa0")),
		trailing("one entry of 4 KiB, 10,000 times, as trailers", entry("x", times(3900, "v"))+times(10000, newest)),
		{name: "heads above the limit, each answered 431", rounds: 10000, round: func(a *attacker, _ int) string {
			id := a.next
			a.next += 2
			return frame(typeHeaders, flagEndHeaders|flagEndStream, id, block(a.f.head("/hold")...)+times(2500, "\xa0"))
		}},
		{name: "table that changes its size again and again", rounds: 10000, round: func(a *attacker, _ int) string {
			id := a.next
			a.next += 2
			return frame(typeHeaders, flagEndHeaders|flagEndStream, id, times(500, "\x20\x3f\xe1\x1f")+block(a.f.head("/hold")...)) + rst(id, codeCancel)
		}},
	})
}
