package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestASeedIsTold(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"-seed", "1"}, &out); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := out.String(); !strings.Contains(s, "edge: proxy starts") || !strings.Contains(s, "every invariant holds") {
		t.Errorf("told is ...%s", s[max(0, len(s)-500):])
	}
}

func TestManySeedsAreSummedUp(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"-seeds", "3"}, &out); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := out.String(); !strings.Contains(s, "3 lives") || !strings.Contains(s, "every invariant holds") {
		t.Errorf("told is\n%s", s)
	}
}

func TestABuildWithoutBugsSaysSo(t *testing.T) {
	var out bytes.Buffer
	for _, args := range [][]string{{"-bugs"}, {"-seed", "1", "-bug", "CountTwice"}, {"-nonsense"}} {
		out.Reset()
		if code := run(args, &out); code != 2 || out.Len() == 0 {
			t.Errorf("%v: exit code %d, told is %q", args, code, out.String())
		}
	}
}

// few are found within some lives each; all of them take some minutes: WEFT_SIM_BUGS=all.
var few = []string{"CountTwice", "RetryBroken", "DrainAtOnce", "PlaintextFallback", "AnyIdentity"}

// TestPlantedBugsAreFound: a simulator that finds nothing proves nothing.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	calls := make([][]string, 0, len(few))
	for _, b := range few {
		calls = append(calls, []string{"-bugs", "-seeds", "100", "-bug", b})
	}
	if os.Getenv("WEFT_SIM_BUGS") == "all" {
		calls = [][]string{{"-bugs", "-seeds", "1000"}}
	}
	program := t.TempDir() + "/sim"
	if out, err := exec.Command("go", "build", "-tags", "plantedbugs", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range calls {
		out, err := exec.Command(program, args...).CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Errorf("sim %v: %v", args, err)
		}
	}
}
