package join

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/node"
)

// runPrefix begins the name of the directory of each run; its node.Owner follows.
const runPrefix = "run-"

// DefaultRuntimeDir is where sockets of this user's runs are: $WEFT_RUNTIME_DIR, else
// $XDG_RUNTIME_DIR/weft, else /run/weft (root), else weft-UID in the temporary directory.
func DefaultRuntimeDir() string {
	if d := os.Getenv("WEFT_RUNTIME_DIR"); d != "" {
		return d
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "weft")
	}
	if os.Geteuid() == 0 {
		return "/run/weft"
	}
	return filepath.Join(os.TempDir(), "weft-"+strconv.Itoa(os.Getuid()))
}

// makeRunDir makes the directory of this run inside the runtime directory, which is made as
// well. Only the user may enter either. n tells several runs of one process apart.
func makeRunDir(runtimeDir string, n uint64) (string, error) {
	if err := os.MkdirAll(runtimeDir, 0o700); err != nil {
		return "", runtimeError(runtimeDir, err.Error())
	}
	if why := privateDir(runtimeDir); why != "" {
		return "", runtimeError(runtimeDir, why)
	}
	dir := filepath.Join(runtimeDir, fmt.Sprintf("%s%s.%d", runPrefix, node.Self(), n))
	// One of our own from an earlier run that could not be removed is in the way.
	if err := os.RemoveAll(dir); err != nil {
		return "", runtimeError(dir, err.Error())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", runtimeError(dir, err.Error())
	}
	return dir, nil
}

func runtimeError(dir, why string) error {
	e := codes.New("W4120", "the runtime directory cannot be used")
	e.Why, e.Where = why, dir
	e.Next = []string{"WEFT_RUNTIME_DIR=$HOME/.weft weft run …", "ls -ld " + dir}
	return e
}

// Reap removes what runs of this user left behind that were killed: directories of sockets, and
// as root links of network namespaces. Runs that live are left alone. It gives what it removed.
// Run calls it first; `weft check` may.
func Reap(runtimeDir string, log *slog.Logger) (removed []string) {
	removed = reapRuns(runtimeDir, log)
	if node.Supported() == nil {
		links, err := node.Reap()
		if err != nil {
			log.Warn("a killed run's link could not be removed", "err", err)
		}
		removed = append(removed, links...)
	}
	if len(removed) > 0 {
		log.Info("removed what a killed weft run left", "what", strings.Join(removed, " "))
	}
	return removed
}

// reapRuns removes the directories of dead runs from a directory that is ours alone.
func reapRuns(dir string, log *slog.Logger) (removed []string) {
	entries, err := os.ReadDir(dir)
	if err != nil || privateDir(dir) != "" {
		return nil // there is none, or others could lead us astray
	}
	for _, e := range entries {
		if !abandonedRun(e) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := os.RemoveAll(path); err != nil {
			log.Warn("a killed run's directory could not be removed", "path", path, "err", err)
			continue
		}
		removed = append(removed, path)
	}
	return removed
}

// abandonedRun reports whether a directory entry belongs to a run whose process is dead.
func abandonedRun(e fs.DirEntry) bool {
	name, ours := strings.CutPrefix(e.Name(), runPrefix)
	if !ours || !e.IsDir() {
		return false
	}
	text, _, _ := strings.Cut(name, ".")
	owner, err := node.ParseOwner(text)
	return err == nil && owner.Dead()
}
