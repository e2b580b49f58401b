package suggest

import "testing"

func TestClosest(t *testing.T) {
	fields := []string{"backendRefs", "filters", "matches", "name", "retry", "timeouts"}
	for _, c := range []struct{ what, got, want string }{
		{"a missing letter is found", "backendRef", "backendRefs"},
		{"swapped letters are one edit", "macthes", "matches"},
		{"case alone is found first", "Timeouts", "timeouts"},
		{"a word that resembles nothing gets no suggestion", "sidecar", ""},
		{"the word itself is not its own suggestion", "name", ""},
		{"nothing gives nothing", "", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := Closest(c.got, fields); got != c.want {
				t.Errorf("Closest(%q) = %q, want %q", c.got, got, c.want)
			}
		})
	}
	if got := Closest("abd", []string{"abf", "abc"}); got != "abc" {
		t.Errorf("ties are not broken by alphabet: %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
