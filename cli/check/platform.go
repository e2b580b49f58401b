// Package check looks at a machine before a mesh runs on it: the part of `weft check` that needs
// no control plane. Each finding has a code, the evidence, and a command that mends it.
package check

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
)

// States of a check.
const (
	OK      = "ok"
	Warning = "warning"
	Failed  = "failed"
)

// platform is the area of everything here.
const platform = "platform"

// Host is what the checks look at; tests give their own.
type Host struct {
	OS         string // runtime.GOOS
	UID        int
	Executable string // path of this program; "" if unknown
	LookPath   func(name string) (string, error)
	FileLimit  func() (hard uint64, ok bool)
	Splice     func() (pipe int, err error) // how much a pipe holds that bytes of sockets go through
	Dirs       place.Dirs
}

// ThisHost describes the present machine and process.
func ThisHost(dirs place.Dirs) Host {
	exe, err := os.Executable()
	if err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
	}
	return Host{OS: runtime.GOOS, UID: os.Geteuid(), Executable: exe, LookPath: exec.LookPath, FileLimit: fileLimit, Splice: spliced, Dirs: dirs}
}

// Platform looks at the machine.
func Platform(ctx context.Context, h Host) []mesh.Check {
	return []mesh.Check{h.proxy(), h.files(), h.runtime(), h.leftovers(ctx), h.transparent(), h.tcp()}
}

func result(name, state, evidence string, f *mesh.Fault) mesh.Check {
	return mesh.Check{Area: platform, Name: name, State: state, Evidence: evidence, Fault: f}
}

// proxy looks for the data plane's binary, as package join does.
func (h Host) proxy() mesh.Check {
	const name = "weft-proxy is installed"
	beside := filepath.Join(filepath.Dir(h.Executable), "weft-proxy")
	if fi, err := os.Stat(beside); h.Executable != "" && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
		return result(name, OK, beside, nil)
	}
	if p, err := h.LookPath("weft-proxy"); err == nil {
		return result(name, OK, p, nil)
	}
	why := fmt.Sprintf("it is neither at %s nor in $PATH", beside)
	return result(name, Failed, why, &mesh.Fault{
		Code: "W4110", What: "the weft-proxy program was not found", Why: why,
		Next: []string{"make build", "weft run --proxy-binary /path/to/weft-proxy --name NAME -- ./command"},
	})
}

// lowFiles is a limit of open files that a laptop's load can reach: two connections a request in
// flight, and about 20 for the process itself.
const lowFiles = 4096

// files looks at the hard limit: the Go runtime raises the soft one to it by itself.
func (h Host) files() mesh.Check {
	const name = "open files"
	hard, ok := h.FileLimit()
	if !ok {
		return result(name, OK, "this system has no such limit", nil)
	}
	why := fmt.Sprintf("the hard limit is %d", hard)
	if hard >= lowFiles {
		return result(name, OK, why, nil)
	}
	return result(name, Warning, why, &mesh.Fault{
		Code: "W4041", What: "the limit of open files is low", Why: fmt.Sprintf("%s, wanted at least %d", why, lowFiles),
		Next: []string{"ulimit -Hn 65536          (as root, before weft is started)"},
	})
}

// runtime looks at the directory of sockets.
func (h Host) runtime() mesh.Check {
	const name = "runtime directory"
	if err := h.Dirs.CheckRuntime(); err != nil {
		f := mesh.FaultOf(err)
		return result(name, Failed, f.Why, f)
	}
	return result(name, OK, h.Dirs.Runtime(), nil)
}

// leftovers looks for sockets of dead control planes, and leaves them.
func (h Host) leftovers(ctx context.Context) mesh.Check {
	const name = "nothing left behind"
	_, dead := h.Dirs.Sockets(ctx, false)
	if len(dead) == 0 {
		return result(name, OK, "no dead socket", nil)
	}
	return result(name, Warning, strings.Join(dead, ", "), &mesh.Fault{
		Code: "W4042", What: "a socket of a dead control plane was left behind", Why: "nobody listens on it", Where: dead[0],
		Next: []string{"weft          (removes it)"},
	})
}

// transparent says whether weft run --transparent is available; not having it is no finding.
func (h Host) transparent() mesh.Check {
	const name = "transparent mode"
	switch {
	case h.OS != "linux":
		return result(name, OK, "not on "+h.OS+" (W4047); use WEFT_<SERVICE>_URL and http_proxy", nil)
	case h.UID != 0:
		return result(name, OK, "not without root (W4047); use WEFT_<SERVICE>_URL and http_proxy", nil)
	}
	return result(name, OK, "available: weft run --transparent", nil)
}

// tcp says how opaque bytes get from one socket to another of a proxy. What works everywhere is
// never a finding.
func (h Host) tcp() mesh.Check {
	const (
		name  = "opaque TCP"
		whole = 512 << 10
		least = 64 << 10
	)
	size, err := h.Splice()
	switch {
	case err != nil:
		return result(name, OK, "copied: "+err.Error(), nil)
	case size < least:
		return result(name, OK, fmt.Sprintf("copied: pipes hold %d KiB only (fs.pipe-user-pages-soft)", size>>10), nil)
	case size < whole:
		return result(name, OK, fmt.Sprintf("bulk is spliced, %d KiB at a time: pipes hold no more (fs.pipe-max-size, fs.pipe-user-pages-soft)", size>>10), nil)
	}
	return result(name, OK, "bulk is spliced, small pieces are copied; sockmap is not used, for it loses bytes", nil)
}
