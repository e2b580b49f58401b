package file

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/codes"
)

// Limits on a directory.
const (
	MaxFiles = 10_000
	MaxDirs  = 1_000
	MaxDepth = 16
	MaxTotal = 64 << 20 // bytes of all files together
)

// racy is how old a file's time of change must be for it to prove that the file did not change
// since: below the clock tick of the file system, two writes can leave the same time.
const racy = 2 * time.Second

// blankGrace is how long a file that held objects may be blank before that is believed. Editors
// and shells that write in place cut the file first; the mesh must not lose its routes meanwhile.
const blankGrace = 150 * time.Millisecond

// fingerprint tells whether a file must be read again.
type fingerprint struct {
	info   os.FileInfo
	readAt time.Time
	sum    [sha256.Size]byte
	blank  time.Time // since when it has been blank though objects are held; zero if it is not
}

func (p *fingerprint) unchanged(info os.FileInfo) bool {
	return p.info != nil && p.blank.IsZero() && os.SameFile(p.info, info) &&
		p.info.Size() == info.Size() && p.info.ModTime().Equal(info.ModTime()) &&
		p.readAt.Sub(info.ModTime()) > racy
}

// found is one file of a walk.
type found struct {
	path string
	info os.FileInfo
}

// listing is what a walk found.
type listing struct {
	files    []found
	dirs     []string
	blocked  []string // files and directories that could not be looked at: what was below stays
	problems []*codes.Error
	real     map[string]bool
	total    int64
	full     bool
}

// walk lists the files that count, in order of names. A directory that is reached twice, by
// symbolic links, is read once, so loops end.
func walk(root string) *listing {
	l := &listing{real: map[string]bool{}}
	l.dir(root, 0)
	return l
}

func (l *listing) dir(path string, depth int) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		l.block(path, err)
		return
	}
	if abs, err := filepath.Abs(real); err == nil {
		real = abs
	}
	if l.real[real] {
		return
	}
	l.real[real] = true
	if depth > MaxDepth || len(l.dirs) >= MaxDirs {
		l.overflow(path, fmt.Sprintf("at most %d directories, %d deep, are read", MaxDirs, MaxDepth))
		return
	}
	l.dirs = append(l.dirs, path)
	list, err := os.ReadDir(path)
	if err != nil {
		l.block(path, err)
		return
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		at := filepath.Join(path, e.Name())
		yaml := strings.HasSuffix(e.Name(), ".yaml") || strings.HasSuffix(e.Name(), ".yml")
		if !yaml && !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0:
			// Removed since the directory was listed.
		case err != nil:
			if yaml {
				l.block(at, err)
			}
		case info.IsDir():
			l.dir(at, depth+1)
		case yaml && info.Mode().IsRegular():
			if len(l.files) >= MaxFiles || l.total+info.Size() > MaxTotal {
				l.overflow(at, fmt.Sprintf("at most %d files and %d MiB are read", MaxFiles, MaxTotal>>20))
				continue
			}
			l.total += info.Size()
			l.files = append(l.files, found{at, info})
		}
	}
}

func (l *listing) block(path string, err error) {
	l.blocked = append(l.blocked, path)
	l.problems = append(l.problems, unreadable(path, err))
}

func (l *listing) overflow(path, why string) {
	if l.full {
		return
	}
	l.full = true
	l.problems = append(l.problems, &codes.Error{Code: "W1015", What: "the directory holds too much; " + path + " and what follows is not read",
		Why: why, Where: path, Next: []string{"give weft a directory of its own configuration only"}})
}

// unreadable makes the error for a file or directory that the system does not let us read.
func unreadable(path string, err error) *codes.Error {
	why := err.Error()
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		why = pe.Err.Error()
	}
	return &codes.Error{Code: "W1001", What: path + " cannot be read", Why: why, Where: path, Next: []string{"ls -ld " + path}, Err: err}
}

// scan brings the entries up to date. touched are files to read whatever their times say. It
// reports whether anything changed, and when to look again if a file is in the midst of being
// written (zero if none is).
func (s *Source) scan(now time.Time, touched map[string]bool) (changed bool, again time.Time) {
	l := walk(s.dir)
	s.dirs = l.dirs
	present := map[string]bool{}
	for _, f := range l.files {
		present[f.path] = true
		c, when := s.read(f, now, touched[f.path])
		changed = changed || c
		if !when.IsZero() && (again.IsZero() || when.Before(again)) {
			again = when
		}
	}
	for path := range s.entries {
		if !present[path] && !isBelow(path, l.blocked) {
			delete(s.entries, path)
			changed = true
		}
	}
	if !slices.EqualFunc(s.general, l.problems, func(a, b *codes.Error) bool { return a.Error() == b.Error() }) {
		s.general = l.problems
		changed = true
	}
	return changed, again
}

// isBelow: a blocked file is below itself.
func isBelow(path string, blocked []string) bool {
	for _, b := range blocked {
		if path == b || strings.HasPrefix(path, b+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// read brings one file's entry up to date.
func (s *Source) read(f found, now time.Time, force bool) (changed bool, again time.Time) {
	old := s.entries[f.path]
	if old != nil && !force && old.seen.unchanged(f.info) {
		return false, time.Time{}
	}
	data, err := readBounded(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, time.Time{} // gone since the walk; the next one sees it
	}
	if err != nil {
		e := unreadable(f.path, err)
		if old == nil {
			old = &entry{}
		} else if len(old.objects) > 0 {
			e.What += "; the last good version stays in force"
		}
		same := len(old.problems) == 1 && old.problems[0].Error() == e.Error()
		s.entries[f.path] = &entry{objects: old.objects, problems: []*codes.Error{e}}
		return !same, time.Time{}
	}
	sum := sha256.Sum256(data)
	seen := fingerprint{info: f.info, readAt: now, sum: sum}
	if old == nil {
		old = &entry{}
	} else if old.seen.info != nil && old.seen.blank.IsZero() && old.seen.sum == sum {
		old.seen = seen
		return false, time.Time{}
	}
	if len(bytes.TrimSpace(data)) == 0 && len(old.objects) > 0 {
		since := old.seen.blank
		if since.IsZero() {
			since = now
		}
		if wait := since.Add(blankGrace); now.Before(wait) {
			old.seen.blank = since
			return false, wait
		}
	}
	res := decode.File(f.path, data, decode.Options{Check: "weft check " + s.dir})
	objects, problems := merge(old.objects, res)
	s.entries[f.path] = &entry{seen: seen, objects: objects, problems: problems, ignored: res.Ignored}
	return true, time.Time{}
}

// readBounded reads a file up to just above the decoder's limit, so that a huge file costs no
// memory and is still seen to be too large.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, decode.MaxBytes+1))
}

// snapshot collects the entries into a Set.
func (s *Source) snapshot() Set {
	paths := make([]string, 0, len(s.entries))
	for p := range s.entries {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	set := Set{Files: len(paths), Problems: slices.Clone(s.general)}
	for _, p := range paths {
		e := s.entries[p]
		set.Objects = append(set.Objects, e.objects...)
		set.Problems = append(set.Problems, e.problems...)
		set.Ignored = append(set.Ignored, e.ignored...)
	}
	if s.watching != nil {
		set.Problems = append(set.Problems, s.watching)
	}
	return set
}
