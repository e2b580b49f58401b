package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weft-mesh/weft/codes"
)

// Dir is a state directory that this process owns until Close.
type Dir struct {
	path string
	lock *os.File
}

const (
	lockName = "lock"
	maxFile  = 64 << 20
)

// Open makes the directory if it is missing (0700), checks its mode, and takes its lock. It is
// refused with W2001 if another process holds the lock, with W2002 if the directory cannot be used.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, unusable(abs, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, unusable(abs, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		e := codes.New("W2002", "the state directory is open to other users")
		e.Why = fmt.Sprintf("mode %04o, want 0700", mode)
		e.Where, e.Next = abs, []string{"chmod 0700 " + quote(abs)}
		return nil, e
	}
	f, err := os.OpenFile(filepath.Join(abs, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(abs, err)
	}
	if err := lockFile(f); err != nil {
		pid := readPID(f)
		_ = f.Close()
		if !errors.Is(err, errLocked) {
			return nil, unusable(abs, err)
		}
		return nil, taken(abs, pid)
	}
	// The pid is for people; the lock is what counts, and goes with the process.
	if err := writePID(f); err != nil {
		_ = f.Close()
		return nil, full(filepath.Join(abs, lockName), err)
	}
	return &Dir{path: abs, lock: f}, nil
}

// Path gives the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// Close gives the lock up.
func (d *Dir) Close() error { return d.lock.Close() }

// Read gives a file's contents, or nil if it does not exist. A file that others may read is
// refused with W2003.
func (d *Dir) Read(name string) ([]byte, error) {
	path := filepath.Join(d.path, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unusable(path, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, unusable(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		e := codes.New("W2003", "a file of the mesh's state is open to other users")
		e.Why = fmt.Sprintf("mode %04o, want 0600", mode)
		e.Where, e.Next = path, []string{"chmod 0600 " + quote(path) + "   (if you trust everybody who could read it)"}
		return nil, e
	}
	if info.Size() > maxFile {
		return nil, unusable(path, fmt.Errorf("it has %d bytes, want at most %d", info.Size(), maxFile))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	return data, nil
}

// Write replaces a file as a whole, 0600: a crash or a full disk at any point leaves the old or
// the new contents. Errors are coded W2007.
func (d *Dir) Write(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	f, err := os.CreateTemp(d.path, "."+name+"-*") // 0600
	if err != nil {
		return full(path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return full(path, err)
	}
	// The rename itself must reach the disk too.
	if dir, err := os.Open(d.path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

func unusable(path string, err error) error {
	e := codes.New("W2002", "the state directory cannot be used")
	e.Why, e.Where, e.Err = reason(err), path, err
	e.Next = []string{"ls -ld " + quote(path)}
	return e
}

func full(path string, err error) error {
	e := codes.New("W2007", "state could not be written")
	e.Why, e.Where, e.Err = reason(err), path, err
	e.Next = []string{"df -h " + quote(filepath.Dir(path))}
	return e
}

func taken(path string, pid int) error {
	e := codes.New("W2001", "another weft up runs on this state directory")
	e.Why = "it is locked"
	if pid > 0 {
		e.Why = fmt.Sprintf("process %d holds it", pid)
		e.Next = append(e.Next, fmt.Sprintf("ps -fp %d", pid))
	}
	e.Where = path
	e.Next = append(e.Next, "weft status")
	return e
}

// reason gives the system's words without the path, which is told apart.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Op + ": " + pe.Err.Error()
	}
	return err.Error()
}

func quote(path string) string {
	if strings.ContainsAny(path, " '\"$\\") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

func readPID(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	var pid int
	_, _ = fmt.Sscanf(string(buf[:n]), "%d", &pid)
	return pid
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}
