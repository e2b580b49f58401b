//go:build linux

package attack

import "testing"

// TestB1_03_ContinuationFlood: a head that never ends (CVE-2023-45288, CVE-2024-27919, CVE-2024-30255).
func TestB1_03_ContinuationFlood(t *testing.T) {
	t.Parallel()
	begin := func(a *attacker) string { return frame(typeHeaders, flagEndStream, 1, block(a.f.head("/hold")...)) }
	more := func(payload string) func(*attacker, int) string {
		f := frame(typeContinuation, 0, 1, payload)
		return func(*attacker, int) string { return f }
	}
	// "0" has a Huffman code of 5 bits, all zero: 10 octets of zeros are 16 of them.
	huffman := "\x00\x81\x00" + "\x7f\xe1\x0f" // a literal whose value has 2,000 octets, Huffman-coded
	attackH2(t, []flood{
		{name: "of 16 KiB", before: begin, rounds: 1000, round: more(block("x", times(16000, "y")))},
		{name: "of one field", before: begin, rounds: 20000, round: more(block("x", "y"))},
		{name: "of one octet", before: begin, rounds: 20000, round: more("\x00")},
		{name: "of nothing (CVE-2019-9518)", before: begin, rounds: 20000, round: more("")},
		{name: "of Huffman codes", before: begin, rounds: 1000, round: more(huffman + times(14000, "\x00"))},
		{name: "behind HEADERS of nothing", rounds: 20000, round: more(""),
			before: func(*attacker) string { return frame(typeHeaders, flagEndStream, 1, "") }},
		{name: "as trailers", rounds: 1000, round: more(block("x", times(16000, "y"))),
			before: func(a *attacker) string {
				_, s := a.open(false)
				return s + frame(typeHeaders, flagEndStream, 1, block("x", "y"))
			}},
	})
}
