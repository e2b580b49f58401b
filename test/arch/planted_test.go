package arch

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgramsHaveNoPlantedBugs: what would be wrong is a proxy that has a way to be told to skip a
// check. Switches are constants in programs, so nothing of them may be left in one; a build with the
// tag shows that the test would see them.
func TestProgramsHaveNoPlantedBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	symbols := func(tags, program string) string {
		t.Helper()
		out := filepath.Join(t.TempDir(), "program")
		build := exec.Command("go", "build", "-tags", tags, "-o", out, "./"+program)
		build.Dir = filepath.Join("..", "..")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", program, err, text)
		}
		text, err := exec.Command("go", "tool", "nm", out).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const name = module + "/planted."
	if strings.Contains(symbols("grpcnotrace", "cmd/weft-proxy"), name) {
		t.Error("weft-proxy has something of package planted in it")
	}
	if !strings.Contains(symbols("plantedbugs", "sim"), name) {
		t.Error("a build with planted bugs has none of them: this test sees nothing")
	}
}
