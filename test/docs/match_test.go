package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// What differs from run to run and says nothing: durations, chosen ports, process numbers, times,
// versions. Everything else, other numbers above all, must be as the page says.
var volatile = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?)?`), "TIME"},
	{regexp.MustCompile(`\b(?:\d+(?:\.\d+)?(?:h|m|s|ms|µs|ns))+\b`), "DURATION"},
	{regexp.MustCompile(`\b\d+(?:\.\d+)? (?:h|m|s|ms|µs|ns)\b`), "DURATION"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|\[::1\]):(?:[2-6]\d{4}|1\d{4})\b`), "$1:PORT"},
	{regexp.MustCompile(`\bpid \d+`), "pid PID"},
	{regexp.MustCompile(`\b([a-z][a-z0-9-]*?)-\d+\b`), "$1-PID"}, // an instance; v2 and the like have no hyphen before the number
	{regexp.MustCompile(`\bsnapshot \d+`), "snapshot N"},
	{regexp.MustCompile(`-{3,}`), "---"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// plain takes from a line what differs from run to run.
func plain(l string) string {
	for _, v := range volatile {
		l = v.is.ReplaceAllString(l, v.as)
	}
	return strings.TrimSpace(l)
}

// matches compares output with what a page shows: line by line, in which "..." stands for
// anything, and alone on a line for any number of lines.
func matches(want, got []string) bool {
	want, got = trim(want), trim(got)
	var from func(w, g int) bool
	from = func(w, g int) bool {
		for ; w < len(want); w++ {
			if strings.TrimSpace(want[w]) == "..." {
				for at := g; at <= len(got); at++ {
					if from(w+1, at) {
						return true
					}
				}
				return false
			}
			if g >= len(got) || !matchLine(want[w], got[g]) {
				return false
			}
			g++
		}
		return g == len(got)
	}
	return from(0, 0)
}

func matchLine(want, got string) bool {
	if !strings.Contains(want, "...") {
		return plain(want) == plain(got)
	}
	parts := strings.Split(want, "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(plain(parts[i]))
	}
	ok, err := regexp.MatchString("^"+strings.Join(parts, " ?.*? ?")+"$", plain(got))
	return err == nil && ok
}

// trim drops blank lines at both ends.
func trim(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func TestOutputIsComparedLooselyButNotBlindly(t *testing.T) {
	for _, c := range []struct {
		name, want, got string
		same            bool
	}{
		{"equal", "a\nb", "a\nb", true},
		{"another word", "a\nb", "a\nc", false},
		{"a line too many", "a", "a\nb", false},
		{"a line too few", "a\nb", "a", false},
		{"any lines between", "a\n...\nd", "a\nb\nc\nd", true},
		{"no line between", "a\n...\nd", "a\nd", true},
		{"the last one is missing", "a\n...\nd", "a\nb", false},
		{"anything within a line", "root ends in ... days", "root ends in 12 days", true},
		{"anything within a line, but the rest", "root ends in ... days", "root ends in 12 hours", false},
		{"durations differ", "live in 1.6 ms", "live in 298 µs", true},
		{"a duration is no count", "live at 2 proxies", "live at 3 proxies", false},
		{"shares count", "90.0 %", "89.0 %", false},
		{"statuses count", "HTTP/1.1 200 OK", "HTTP/1.1 502 Bad Gateway", false},
		{"columns may be wider", "FROM  TO", "FROM      TO", true},
		{"processes have numbers", "default/web-17043   live", "default/web-9   live", true},
		{"versions have none", "cart v1", "cart v2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")) != c.same {
				t.Errorf("want %q and got %q: same should be %v", c.want, c.got, c.same)
			}
		})
	}
}
