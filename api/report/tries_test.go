package report

import (
	"fmt"
	"slices"
	"testing"
)

func TestSuccessOfTriesIsThatWithoutRetries(t *testing.T) {
	for _, c := range []struct {
		what string
		c    Counts
		want float64
	}{
		{"nothing happened", Counts{}, 1},
		{"all went well at once", Counts{Success: 10}, 1},
		{"one of ten had to be tried again", Counts{Success: 10, Retries: 1, TriesFailed: 1}, 1 - 1./11},
		{"one of ten failed at all three tries", Counts{Success: 9, Failure: 1, Retries: 2, TriesFailed: 3}, 1 - 3./12},
		{"a hedge that lost is no failure", Counts{Success: 10, Hedges: 2, HedgesWon: 1}, 1},
		{"what was refused without a try did fail", Counts{Success: 5, Failure: 5}, 0.5},
		{"a proxy that reports nonsense gets no share below none", Counts{Success: 1, TriesFailed: 99}, 0},
	} {
		if got := c.c.TrySuccess(); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestRefusalsAreAddedByCodeAndBounded(t *testing.T) {
	var list []Refusal
	list = MergeRefusals(list, []Refusal{{"W3321", 2}, {"W3304", 1}})
	list = MergeRefusals(list, []Refusal{{"W3304", 1}, {"W3320", 5}})
	if want := []Refusal{{"W3304", 2}, {"W3320", 5}, {"W3321", 2}}; !slices.Equal(list, want) {
		t.Errorf("%v, want %v", list, want)
	}
	if n := Shed(list); n != 7 {
		t.Errorf("%d were shed, want 7", n)
	}
	for i := range 1000 {
		list = MergeRefusals(list, []Refusal{{fmt.Sprintf("X%04d", i), 1}})
	}
	var sum uint64
	for _, r := range list {
		sum += r.Count
	}
	if len(list) > MaxRefusals || sum != 1009 || !slices.IsSortedFunc(list, func(a, b Refusal) int { return compareCode(a, b.Code) }) {
		t.Errorf("%d codes with %d refusals, want at most %d with 1009: %v", len(list), sum, MaxRefusals, list)
	}
}

func TestMergedRefusalsShareNothingWithWhatWasAdded(t *testing.T) {
	b := []Refusal{{"W3320", 1}}
	a := MergeRefusals(nil, b)
	a = MergeRefusals(a, b)
	if b[0].Count != 1 || a[0].Count != 2 {
		t.Errorf("added is %v, the sum %v", b, a)
	}
}
