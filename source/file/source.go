package file

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/weft-mesh/weft/codes"
)

// How long to wait. A change is taken in when the directory was quiet for settle, or settleMost
// after its first sign, whichever is sooner. Notices can be lost (network file systems, symbolic
// links to elsewhere), so the directory is looked through every rescan as well.
const (
	settle     = 20 * time.Millisecond
	settleMost = 60 * time.Millisecond
	rescan     = 5 * time.Second
	poll       = 500 * time.Millisecond // in place of rescan while watching does not work
)

// Source follows a directory. It is not safe for concurrent use; Run owns it while it runs.
type Source struct {
	dir      string
	log      *slog.Logger
	entries  map[string]*entry
	dirs     []string       // to watch
	general  []*codes.Error // of the directory rather than of a file
	watching *codes.Error   // why watching does not work; nil if it does
}

// Open reads a directory for the first time. An error is a *codes.Error and says that there is no
// such directory or that it cannot be read; whatever is wrong inside is in the Set.
func Open(dir string, log *slog.Logger) (*Source, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return nil, &codes.Error{Code: "W1001", What: dir + " is not a directory", Why: "weft reads a directory of YAML files", Where: dir, Next: []string{"ls -ld " + dir}}
	}
	if err == nil {
		_, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, unreadable(dir, err)
	}
	s := &Source{dir: dir, log: log, entries: map[string]*entry{}}
	s.scan(time.Now(), nil)
	return s, nil
}

// Load reads a directory once.
func Load(dir string) (Set, error) {
	s, err := Open(dir, nil)
	if err != nil {
		return Set{}, err
	}
	return s.Set(), nil
}

// Set gives what the directory held when it was last read.
func (s *Source) Set() Set { return s.snapshot() }

// Run calls deliver with the present Set, and then with a new one after every change, until ctx
// ends. Calls come one at a time, on Run's goroutine; from a save to the call it takes some 25 ms.
// It returns ctx's error.
func (s *Source) Run(ctx context.Context, deliver func(Set)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.cannotWatch(s.dir, err)
		w = &fsnotify.Watcher{} // its nil channels never fire
	} else {
		defer func() { _ = w.Close() }()
	}
	f := &follower{Source: s, w: w, live: err == nil, touched: map[string]bool{}}
	f.take(time.Now())
	deliver(s.snapshot())
	return f.run(ctx, deliver)
}

func (s *Source) cannotWatch(path string, err error) {
	if s.watching != nil {
		return
	}
	s.watching = &codes.Error{Code: "W1016", What: path + " cannot be watched; it is looked through twice a second instead", Why: err.Error(), Where: path,
		Next: []string{"sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances"}, Err: err}
	s.log.Warn("cannot watch the configuration", "path", path, "error", err, "code", "W1016")
}

// follower is the state of Run.
type follower struct {
	*Source
	w       *fsnotify.Watcher
	live    bool // w works
	touched map[string]bool
	first   time.Time // of the signs not yet taken in; zero if there is none
}

// maxTouched bounds the memory of names; beyond it, times and sizes must tell.
const maxTouched = 10_000

func (f *follower) run(ctx context.Context, deliver func(Set)) error {
	timer := time.NewTimer(f.idle())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev, ok := <-f.w.Events:
			if !ok {
				f.w, f.live = &fsnotify.Watcher{}, false
				continue
			}
			if len(f.touched) < maxTouched {
				f.touched[ev.Name] = true
			}
			now := time.Now()
			if f.first.IsZero() {
				f.first = now
			}
			timer.Reset(min(settle, f.first.Add(settleMost).Sub(now)))
		case err := <-f.w.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				f.forgetTimes()
			}
			timer.Reset(settle)
		case now := <-timer.C:
			changed, again := f.take(now)
			if changed {
				set := f.snapshot()
				f.log.Debug("configuration read", "files", set.Files, "objects", len(set.Objects), "problems", len(set.Problems))
				deliver(set)
			}
			wait := f.idle()
			if !again.IsZero() {
				wait = min(wait, max(time.Until(again), time.Millisecond))
			}
			timer.Reset(wait)
		}
	}
}

func (f *follower) idle() time.Duration {
	if f.live && f.watching == nil {
		return rescan
	}
	return poll
}

// forgetTimes makes the next scan read every file.
func (f *follower) forgetTimes() {
	for p := range f.entries {
		f.touched[p] = true
	}
}

// take reads what changed. Each directory is watched before it is listed, so that nothing written
// into it meanwhile is missed; directories that appear in the listing cause another round.
func (f *follower) take(now time.Time) (changed bool, again time.Time) {
	f.first = time.Time{}
	touched := f.touched
	f.touched = map[string]bool{}
	watched := map[string]bool{}
	for range MaxDepth {
		for _, d := range f.dirs {
			if !watched[d] {
				watched[d] = true
				f.watch(d)
			}
		}
		c, a := f.scan(now, touched)
		changed, again, touched = changed || c, a, nil
		if !slices.ContainsFunc(f.dirs, func(d string) bool { return !watched[d] }) {
			break
		}
	}
	return changed, again
}

// watch asks for notices. Adding a directory again is cheap, and needed if another one took its
// name.
func (f *follower) watch(dir string) {
	if !f.live {
		return
	}
	if err := f.w.Add(dir); err != nil && !os.IsNotExist(err) {
		f.cannotWatch(dir, err)
	}
}
