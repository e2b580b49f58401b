package place

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/codes"
)

func dirs(t *testing.T, env map[string]string) Dirs {
	t.Helper()
	return Dirs{UID: os.Geteuid(), TmpDir: t.TempDir(), Home: "/home/u", Getenv: func(k string) string { return env[k] }}
}

func TestWhereThingsLive(t *testing.T) {
	for _, c := range []struct {
		name         string
		uid          int
		env          map[string]string
		home         string
		socket, want string // want: state directory, "" for an error
	}{
		{"root", 0, nil, "/root", "/run/weft/default.sock", "/var/lib/weft/default"},
		{"a user without XDG", 1000, nil, "/home/u", "/tmp/weft-1000/default.sock", "/home/u/.local/state/weft/default"},
		{"a user with XDG", 1000, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/s"}, "/home/u", "/run/user/1000/weft/default.sock", "/s/weft/default"},
		{"an explicit runtime directory wins", 0, map[string]string{"WEFT_RUNTIME_DIR": "/x", "XDG_RUNTIME_DIR": "/run/user/0"}, "/root", "/x/default.sock", "/var/lib/weft/default"},
		{"a user without a home is told so", 1000, nil, "", "/tmp/weft-1000/default.sock", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Dirs{UID: c.uid, TmpDir: "/tmp", Home: c.home, Getenv: func(k string) string { return c.env[k] }}
			if got := d.Socket(DefaultMesh); got != c.socket {
				t.Errorf("socket = %q, wanted %q", got, c.socket)
			}
			got, err := d.State(DefaultMesh)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("state = %q, %v, wanted %q", got, err, c.want)
			}
		})
	}
}

func TestARuntimeDirectoryThatOthersCouldHavePreparedIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		uid  int // added to ours
		why  string
	}{
		{"a fresh one is made closed", func(*testing.T, string) {}, 0, ""},
		{"one of ours is taken", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)) }, 0, ""},
		{"an open one is refused", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)); must(t, os.Chmod(p, 0o755)) }, 0, "0755"},
		{"a link is refused", func(t *testing.T, p string) { must(t, os.Symlink(t.TempDir(), p)) }, 0, "not a directory"},
		{"a file is refused", func(t *testing.T, p string) { must(t, os.WriteFile(p, nil, 0o600)) }, 0, "not a directory"},
		{"somebody else's is refused", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)) }, 1, "belongs to uid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			d := dirs(t, map[string]string{"WEFT_RUNTIME_DIR": path})
			d.UID += c.uid
			c.make(t, path)
			_, err := d.EnsureRuntime()
			if c.why == "" {
				if err != nil {
					t.Fatal(err)
				}
				fi, err := os.Stat(path)
				must(t, err)
				if fi.Mode().Perm() != 0o700 {
					t.Errorf("mode = %04o", fi.Mode().Perm())
				}
				return
			}
			var coded *codes.Error
			if !errors.As(err, &coded) || coded.Code != "W4006" || !strings.Contains(coded.Why, c.why) {
				t.Errorf("error = %v, wanted one that says %q", err, c.why)
			}
		})
	}
}

// shortDirs has a runtime directory with a path short enough for sockets.
func shortDirs(t *testing.T) Dirs {
	t.Helper()
	run, err := os.MkdirTemp("", "weft-p-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	return dirs(t, map[string]string{"WEFT_RUNTIME_DIR": run})
}

func listen(t *testing.T, path string, keep bool) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	if keep {
		t.Cleanup(func() { _ = l.Close() })
		return
	}
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name        string
		alive, dead []string
		wish        string
		want        string // mesh name or address; "" for an error
		code, note  string
	}{
		{name: "nothing runs", code: "W4002"},
		{name: "only a dead one is nothing", dead: []string{"default"}, code: "W4002"},
		{name: "the only one is taken", alive: []string{"demo"}, want: "demo"},
		{name: "a dead default does not hide the demo", alive: []string{"demo"}, dead: []string{"default"}, want: "demo"},
		{name: "default wins, and that is said", alive: []string{"alpha", "default", "demo"}, want: "default", note: `"default" (others: alpha, demo`},
		{name: "without default the first is taken, and that is said", alive: []string{"b", "a"}, want: "a", note: `"a" (others: b`},
		{name: "a name is a mesh", alive: []string{"a", "default"}, wish: "a", want: "a"},
		{name: "a name of a dead one is told", alive: []string{"a"}, dead: []string{"b"}, wish: "b", code: "W4002"},
		{name: "host and port", wish: "mesh.example.net:9443", want: "mesh.example.net:9443"},
		{name: "IPv6 host and port", wish: "[::1]:9443", want: "[::1]:9443"},
		{name: "neither is told", wish: "a:b:c", code: "W4001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := shortDirs(t)
			for _, m := range c.alive {
				listen(t, d.Socket(m), true)
			}
			for _, m := range c.dead {
				listen(t, d.Socket(m), false)
			}
			got, err := d.Find(context.Background(), c.wish)
			var coded *codes.Error
			if errors.As(err, &coded); c.code != "" && (coded == nil || coded.Code != c.code || len(coded.Next) == 0) {
				t.Fatalf("error = %v, wanted %s with a next step", err, c.code)
			}
			name := got.Addr
			if got.Socket != "" {
				name = MeshName(got.Socket)
			}
			if c.code == "" && (err != nil || name != c.want) {
				t.Errorf("found %q, %v, wanted %q", name, err, c.want)
			}
			if !strings.Contains(got.Note, c.note) || (c.note == "") != (got.Note == "") {
				t.Errorf("note = %q, wanted %q", got.Note, c.note)
			}
			for _, m := range c.dead {
				if _, err := os.Lstat(d.Socket(m)); c.wish == "" && err == nil {
					t.Errorf("the socket of the dead %s is still there", m)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
