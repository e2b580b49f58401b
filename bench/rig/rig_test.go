package rig

import (
	"errors"
	"strings"
	"testing"
)

func TestAProblemSaysWhatWhyAndWhatToDo(t *testing.T) {
	cause := errors.New("cause")
	p := &Problem{What: "nginx is not here", Why: "PATH has none", Next: []string{"apt-get install nginx", "or not"}, Err: cause}
	want := "bench: nginx is not here\n  why   PATH has none\n  next  apt-get install nginx\n        or not\n"
	if got := p.Text(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if p.Error() != "nginx is not here: PATH has none" || !errors.Is(p, cause) {
		t.Errorf("as an error: %v", p)
	}
}

func TestAnExcerptIsTheEndOnOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "it said nothing", " \n": "it said nothing", "a\n b\tc\n": "a b c",
		strings.Repeat("x", 500) + "end": "… " + strings.Repeat("x", 397) + "end",
	} {
		if got := Excerpt([]byte(in)); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}
