// Package suggest finds what a person probably meant.
package suggest

import (
	"sort"
	"strings"
)

// maxLength bounds what is compared: longer words are not typing errors of anything, and the
// comparison is quadratic.
const maxLength = 128

// Closest returns the candidate nearest to got: first by equality without case, then by edit
// distance (insert, delete, replace, swap of neighbours). It returns "" if nothing is near: more
// than a third of the letters would have to change. Among equals the first in alphabet wins, so
// the answer does not depend on the order of candidates.
func Closest(got string, candidates []string) string {
	if got == "" || len(got) > maxLength {
		return ""
	}
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	best, bestAt := "", 1+max(1, len(got)/3)
	for _, c := range sorted {
		if c == got || len(c) > maxLength {
			continue
		}
		if strings.EqualFold(c, got) {
			return c
		}
		if d := Distance(strings.ToLower(got), strings.ToLower(c)); d < bestAt && d < len(c) {
			best, bestAt = c, d
		}
	}
	return best
}

// Distance is the number of edits (insert, delete, replace, swap of neighbours) between two
// strings, byte by byte (optimal string alignment).
func Distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
