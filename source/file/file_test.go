package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/codes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func service(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n", name)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace saves as most editors do: a new file takes the old one's name.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, filepath.Join(filepath.Dir(path), ".tmp"), text)
	if err := os.Rename(filepath.Join(filepath.Dir(path), ".tmp"), path); err != nil {
		t.Fatal(err)
	}
}

func names(s Set) string {
	var out []string
	for _, o := range s.Objects {
		out = append(out, o.Name)
	}
	return strings.Join(out, " ")
}

func problems(s Set) string {
	var out []string
	for _, p := range s.Problems {
		out = append(out, p.Code)
	}
	return strings.Join(out, " ")
}

func TestWhichFilesCount(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a.yaml", "b.yml", "sub/deep/c.yaml", ".hidden.yaml", ".git/d.yaml", "e.json", "f.yaml~", "#g.yaml#"} {
		write(t, filepath.Join(dir, f), service(strings.Trim(strings.SplitN(filepath.Base(f), ".", 2)[0], "#")+"x"))
	}
	for link, to := range map[string]string{"sub/loop": dir, "self": "self", "dangling": "nowhere", "linked.yaml": filepath.Join(dir, ".git/d.yaml")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	set, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(set); got != "ax bx dx cx" || len(set.Problems) > 0 {
		t.Errorf("objects %q, problems %v", got, set.Problems)
	}
}

func TestADirectoryThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	write(t, file, "")
	for _, path := range []string{file, file + "/none", "/nowhere"} {
		_, err := Load(path)
		var ce *codes.Error
		if !errors.As(err, &ce) || ce.Code != "W1001" || ce.Where != path || len(ce.Next) == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheLastGoodVersionStaysInForce(t *testing.T) {
	now := time.Now()
	step := func(t *testing.T, s *Source, path, text string) Set {
		t.Helper()
		write(t, path, text)
		s.scan(now, map[string]bool{path: true})
		return s.Set()
	}
	for _, c := range []struct{ what, then, names, codes string }{
		{"a broken document keeps all objects of the file", "apiVersion: v1\n kind: x", "a b other", "W1002"},
		{"a wrong object keeps its own last version only", service("a") + "wrong: 1\n---\n" + service("c"), "c a other", "W1010"},
		{"an object that cannot be identified keeps those that are not there", service("a") + "---\nkind: Servce\napiVersion: v1\n", "a b other", "W1004"},
		{"an object that is removed is gone", service("b"), "b other", ""},
		{"a file without objects has none", "# all gone\n", "other", ""},
		{"a file that is too large keeps its objects", "# " + strings.Repeat("x", 1<<20), "a b other", "W1003"},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.yaml")
			write(t, path, service("a")+"---\n"+service("b"))
			write(t, filepath.Join(dir, "z.yaml"), service("other"))
			s, err := Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			set := step(t, s, path, c.then)
			if names(set) != c.names || problems(set) != c.codes {
				t.Errorf("objects %q, problems %v; want %q, %q", names(set), set.Problems, c.names, c.codes)
			}
			for _, p := range set.Problems {
				if !strings.Contains(p.What, "the last good version stays in force") {
					t.Errorf("it is not said that the last good version stays: %v", p)
				}
			}
			set = step(t, s, path, service("mended"))
			if names(set) != "mended other" || len(set.Problems) > 0 {
				t.Errorf("after mending: %q, %v", names(set), set.Problems)
			}
		})
	}
}

func TestAFileCutByAWriterIsNotBelievedAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, service("a"))
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	write(t, path, "")
	if changed, again := s.scan(now, nil); changed || !again.Equal(now.Add(blankGrace)) || names(s.Set()) != "a" {
		t.Errorf("changed %v, again %v, objects %q", changed, again, names(s.Set()))
	}
	if changed, _ := s.scan(now.Add(blankGrace), nil); !changed || names(s.Set()) != "" {
		t.Errorf("a file that stays blank must count: %v %q", changed, names(s.Set()))
	}
}

func TestUnreadablePartsKeepWhatTheyHeld(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sub/a.yaml"), service("a"))
	write(t, filepath.Join(dir, "b.yaml"), service("b"))
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"sub", "b.yaml"} {
		if err := os.Chmod(filepath.Join(dir, p), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "sub"), 0o755) })
	s.scan(time.Now(), map[string]bool{filepath.Join(dir, "b.yaml"): true})
	if names(s.Set()) != "b a" || problems(s.Set()) != "W1001 W1001" {
		t.Errorf("objects %q, problems %v", names(s.Set()), s.Set().Problems)
	}
}

func TestUnchangedFilesKeepTheirPointers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), service("a"))
	write(t, filepath.Join(dir, "b.yaml"), service("b"))
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Set()
	write(t, filepath.Join(dir, "b.yaml"), service("c"))
	s.scan(time.Now(), nil)
	after := s.Set()
	if after.Objects[0] != before.Objects[0] || names(after) != "a c" {
		t.Errorf("before %v, after %v", before.Objects, after.Objects)
	}
}

// TestChangesAreDelivered saves in all the ways that people and programs do, on a real file
// system, and holds that each is seen.
func TestChangesAreDelivered(t *testing.T) {
	dir := t.TempDir()
	path := func(p string) string { return filepath.Join(dir, p) }
	write(t, path("a.yaml"), service("a"))
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	sets, done := make(chan Set), make(chan error)
	go func() {
		done <- s.Run(ctx, func(set Set) {
			select {
			case sets <- set:
			case <-ctx.Done():
			}
		})
	}()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	}()
	wait := func(want string) {
		t.Helper()
		began := time.Now()
		for {
			select {
			case set := <-sets:
				if names(set) == want {
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("%q took %v", want, took)
					}
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%q was not delivered", want)
			}
		}
	}
	wait("a")
	replace(t, path("a.yaml"), service("a")+"---\n"+service("b"))
	wait("a b")
	write(t, path("a.yaml"), service("c"))
	wait("c")
	write(t, path("new/deep/d.yaml"), service("d"))
	wait("c d")
	replace(t, path("new/deep/d.yaml"), service("e"))
	wait("c e")
	if err := os.Rename(path("new"), path(".away")); err != nil {
		t.Fatal(err)
	}
	wait("c")
	if err := os.Rename(path(".away"), path("new")); err != nil {
		t.Fatal(err)
	}
	wait("c e")
	replace(t, path("new/deep/d.yaml"), service("f"))
	wait("c f")
	replace(t, path("a.yaml"), "broken: [")
	replace(t, path("g.yaml"), service("g"))
	wait("c g f")
	if err := os.Remove(path("a.yaml")); err != nil {
		t.Fatal(err)
	}
	wait("g f")

	// As Kubernetes mounts a ConfigMap: files are links into a directory that a link names.
	write(t, path("..1/h.yaml"), service("h"))
	write(t, path("..2/h.yaml"), service("i"))
	if err := os.Symlink("..1", path("..data")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := os.Symlink("..data/h.yaml", path("h.yaml")); err != nil {
		t.Fatal(err)
	}
	wait("g h f")
	if err := os.Symlink("..2", path("..tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path("..tmp"), path("..data")); err != nil {
		t.Fatal(err)
	}
	wait("g i f")
}

// TestSavedIsDeliveredSoon measures the median from a save to its delivery: below 100 ms.
func TestSavedIsDeliveredSoon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, service("a"))
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	sets, done := make(chan Set, 1), make(chan error)
	go func() { done <- s.Run(ctx, func(set Set) { sets <- set }) }()
	<-sets
	var took []time.Duration
	for i := range 9 {
		began := time.Now()
		replace(t, path, service(fmt.Sprint("n", i)))
		<-sets
		took = append(took, time.Since(began))
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 100*time.Millisecond {
		t.Errorf("from save to delivery: %v", took)
	}
}
