package bugs

import "testing"

func TestEveryBugIsDescribedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range All {
		if b.Bug == 0 || b.Name == "" || b.What == "" || b.Harm == "" || seen[b.Name] {
			t.Errorf("%+v", b)
		}
		seen[b.Name] = true
	}
	if len(All) < 20 {
		t.Errorf("%d bugs", len(All))
	}
}
