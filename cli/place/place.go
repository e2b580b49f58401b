// Package place knows where things live on a machine: the runtime directory with the sockets of
// the control planes that run here, and the state directory of each mesh.
//
// It is called by the verbs of the command line and by the demo. It never talks to a control
// plane beyond opening a connection to see whether somebody listens.
package place

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/weft-mesh/weft/codes"
)

// DefaultMesh is the mesh that `weft up` runs; DemoMesh is the one that `weft demo` runs.
const (
	DefaultMesh = "default"
	DemoMesh    = "demo"
)

// Dirs answers where things live for one user. The zero value is not usable; see FromOS.
type Dirs struct {
	UID    int                      // effective user
	Getenv func(name string) string // environment
	TmpDir string                   // for users without a runtime directory
	Home   string                   // "" if unknown
}

// FromOS gives the Dirs of the present process.
func FromOS() Dirs {
	home, _ := os.UserHomeDir() // an unknown home is told when it is needed
	return Dirs{UID: os.Geteuid(), Getenv: os.Getenv, TmpDir: os.TempDir(), Home: home}
}

// Runtime is the directory of the sockets: $WEFT_RUNTIME_DIR, else $XDG_RUNTIME_DIR/weft, else
// /run/weft for root, else $TMPDIR/weft-UID. It need not exist.
func (d Dirs) Runtime() string {
	if v := d.Getenv("WEFT_RUNTIME_DIR"); v != "" {
		return v
	}
	if v := d.Getenv("XDG_RUNTIME_DIR"); v != "" {
		return filepath.Join(v, "weft")
	}
	if d.UID == 0 {
		return "/run/weft"
	}
	return filepath.Join(d.TmpDir, "weft-"+strconv.Itoa(d.UID))
}

// Socket is the path of a mesh's socket.
func (d Dirs) Socket(mesh string) string {
	return filepath.Join(d.Runtime(), mesh+".sock")
}

// State is the directory in which a mesh keeps its CA and join secret: $XDG_STATE_HOME/weft/MESH,
// else /var/lib/weft/MESH for root, else ~/.local/state/weft/MESH. It need not exist.
func (d Dirs) State(mesh string) (string, error) {
	if v := d.Getenv("XDG_STATE_HOME"); v != "" {
		return filepath.Join(v, "weft", mesh), nil
	}
	if d.UID == 0 {
		return filepath.Join("/var/lib/weft", mesh), nil
	}
	if d.Home == "" {
		e := codes.New("W4006", "no place for the state of mesh "+strconv.Quote(mesh))
		e.Why = "neither $XDG_STATE_HOME nor $HOME is set"
		e.Next = []string{"weft up DIR --state /path/to/state"}
		return "", e
	}
	return filepath.Join(d.Home, ".local", "state", "weft", mesh), nil
}

// EnsureRuntime makes the runtime directory (0700) if need be and refuses one that others could
// have prepared: it must be a real directory, owned by this user, closed to everybody else. It
// reports whether it made the directory, so that the maker can remove it again.
func (d Dirs) EnsureRuntime() (made bool, err error) {
	dir := d.Runtime()
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		made = true
	case os.IsExist(err):
	case os.IsNotExist(err):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return false, runtimeError(dir, err.Error(), err)
		}
		made = true
	default:
		return false, runtimeError(dir, err.Error(), err)
	}
	return made, d.CheckRuntime()
}

// CheckRuntime reports what is wrong with the runtime directory; a missing one is fine.
func (d Dirs) CheckRuntime() error {
	dir := d.Runtime()
	fi, err := os.Lstat(dir)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return runtimeError(dir, err.Error(), err)
	case !fi.IsDir():
		return runtimeError(dir, "it is not a directory but "+fi.Mode().Type().String(), nil)
	case fi.Mode().Perm()&0o077 != 0:
		return runtimeError(dir, fmt.Sprintf("its mode is %04o, others may enter; wanted 0700", fi.Mode().Perm()), nil)
	}
	if uid, ok := owner(fi); ok && uid != d.UID {
		return runtimeError(dir, fmt.Sprintf("it belongs to uid %d, this is uid %d", uid, d.UID), nil)
	}
	return nil
}

func runtimeError(dir, why string, cause error) error {
	e := codes.New("W4006", "the runtime directory cannot be used")
	e.Why, e.Where, e.Err = why, dir, cause
	e.Next = []string{"chmod 700 " + dir, "WEFT_RUNTIME_DIR=$(mktemp -d) weft status"}
	return e
}
