package state_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/state"
)

func codeOf(err error) string {
	var e *codes.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestMain lets the test binary be another process that tries to take a directory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("WEFT_TEST_TAKE"); dir != "" {
		if _, err := state.Open(dir); codeOf(err) == "W2001" {
			os.Exit(7)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func take(t *testing.T, dir string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEFT_TEST_TAKE="+dir)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestOneProcessOwnsADirectoryAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := take(t, dir); got != 7 {
		t.Errorf("another process ended with %d, want to be refused (7)", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := take(t, dir); got != 0 {
		t.Errorf("after it was given up another process ended with %d, want 0", got)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode())
	}
}

func TestFilesAreReplacedWholeAndPrivate(t *testing.T) {
	d, err := state.Open(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a test's
	if b, err := d.Read("x"); b != nil || err != nil {
		t.Errorf("a missing file: %q, %v", b, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := d.Write("x", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := d.Read("x"); string(b) != text || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	path := filepath.Join(d.Path(), "x")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read("x"); codeOf(err) != "W2003" {
		t.Errorf("open to the group: %v, want W2003", err)
	}
}

// A write that fails half way must leave the last contents and no litter.
func TestAFailedWriteLeavesTheLastContents(t *testing.T) {
	d, err := state.Open(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a test's
	if err := d.Write("x", []byte("good")); err != nil {
		t.Fatal(err)
	}
	// A directory in the target's place makes the rename fail after the contents were written.
	if err := os.Mkdir(filepath.Join(d.Path(), "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("y", []byte("new")); codeOf(err) != "W2007" {
		t.Errorf("%v, want W2007", err)
	}
	if b, err := d.Read("x"); string(b) != "good" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	files, _ := os.ReadDir(d.Path())
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s was left behind", f.Name())
		}
	}
}
