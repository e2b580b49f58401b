package check

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
)

func TestPlatform(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *Host)
		code  string // of the only finding; "" if there is none
	}{
		{"a sound machine has no finding", func(*testing.T, *Host) {}, ""},
		{"a proxy in the path is found", func(t *testing.T, h *Host) {
			h.Executable = filepath.Join(t.TempDir(), "weft")
			h.LookPath = func(string) (string, error) { return "/usr/bin/weft-proxy", nil }
		}, ""},
		{"a proxy that is missing is found out", func(t *testing.T, h *Host) { h.Executable = filepath.Join(t.TempDir(), "weft") }, "W4110"},
		{"few open files are a finding", func(_ *testing.T, h *Host) { h.FileLimit = func() (uint64, bool) { return 1024, true } }, "W4041"},
		{"a system without that limit has none", func(_ *testing.T, h *Host) { h.FileLimit = func() (uint64, bool) { return 0, false } }, ""},
		{"an open runtime directory is a finding", func(t *testing.T, h *Host) {
			if err := os.Chmod(h.Dirs.Runtime(), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "W4006"},
		{"a dead socket is a finding, and stays", func(t *testing.T, h *Host) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.Dirs.Socket("gone"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
		}, "W4042"},
		{"no root is no finding", func(_ *testing.T, h *Host) { h.UID = 1000 }, ""},
		{"another system is no finding", func(_ *testing.T, h *Host) { h.OS = "darwin" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			run, err := os.MkdirTemp("", "weft-c-") // a socket's path must be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(run) })
			bin := t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "weft-proxy"), nil, 0o700); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			h := Host{
				OS: "linux", UID: 0, Executable: filepath.Join(bin, "weft"),
				LookPath:  func(string) (string, error) { return "", errors.New("not found") },
				FileLimit: func() (uint64, bool) { return 1 << 20, true },
				Splice:    func() (int, error) { return 512 << 10, nil },
				Dirs:      place.Dirs{UID: os.Geteuid(), Getenv: func(k string) string { return map[string]string{"WEFT_RUNTIME_DIR": run}[k] }},
			}
			c.spoil(t, &h)
			var found []mesh.Check
			for _, r := range Platform(context.Background(), h) {
				if (r.State == OK) != (r.Fault == nil) || r.Evidence == "" {
					t.Errorf("%+v: wanted evidence, and a fault unless it is ok", r)
				}
				if r.Fault != nil {
					found = append(found, r)
				}
			}
			switch {
			case c.code == "" && len(found) > 0:
				t.Errorf("findings: %+v", found)
			case c.code != "" && (len(found) != 1 || found[0].Fault.Code != c.code || len(found[0].Fault.Next) == 0):
				t.Errorf("findings: %+v, wanted %s with a next step", found, c.code)
			}
		})
	}
}

func TestHowOpaqueTCPGoesIsTold(t *testing.T) {
	for _, c := range []struct {
		size int
		err  error
		want string
	}{
		{512 << 10, nil, "bulk is spliced, small pieces"},
		{64 << 10, nil, "bulk is spliced, 64 KiB at a time: pipes hold no more"},
		{4 << 10, nil, "copied: pipes hold 4 KiB only"},
		{0, errors.New("splice: not permitted"), "copied: splice: not permitted"},
	} {
		r := Host{Splice: func() (int, error) { return c.size, c.err }}.tcp()
		if r.State != OK || !strings.HasPrefix(r.Evidence, c.want) {
			t.Errorf("%d, %v: %s %q, want %q", c.size, c.err, r.State, r.Evidence, c.want)
		}
	}
}

func TestThisMachineSplicesIfItIsLinux(t *testing.T) {
	size, err := spliced()
	if linux := runtime.GOOS == "linux"; linux != (err == nil) || linux && size == 0 {
		t.Errorf("%d, %v", size, err)
	}
}
