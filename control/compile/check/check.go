// Package check finds everything that is wrong with a directory of configuration, without
// applying it. It is what `weft check DIR` says.
package check

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/source/file"
)

// Result is what was found.
type Result struct {
	Problems []*codes.Error // of the files, then of what they say together
	Advice   []*codes.Error // warnings of what is in force and dangerous or without effect, of a directory
	Set      file.Set
	Snapshot *compile.Snapshot
}

// Errors counts the problems that are no warnings.
func (r *Result) Errors() (n int) {
	for _, p := range r.Problems {
		if !codes.IsWarning(p.Code) {
			n++
		}
	}
	return n
}

// Dir checks a directory. The error is a *codes.Error and says that there is no such directory or
// that it cannot be read; all else is in the Result. Workloads that run now are not known here, so
// a Service that only `weft run` makes counts as missing, unless it is in registered.
func Dir(dir string, registered ...compile.Registered) (*Result, error) {
	set, err := file.Load(dir)
	if err != nil {
		return nil, err
	}
	snap, problems := compile.Compile(compile.Input{Objects: set.Objects, Registered: registered, TrustDomain: "weft.local", Check: "weft check " + dir})
	r := &Result{Set: set, Snapshot: snap, Advice: snap.Advice}
	r.Problems = append(r.Problems, set.Problems...)
	r.Problems = append(r.Problems, problems...)
	return r, nil
}

// File checks one file as what it is, a part of its directory: names in it mean objects of the
// files beside it. The problems are those whose place is in the file, and the Set's objects the
// file's. The error is as of Dir, and W1001 for a file that weft would not read.
func File(path string, registered ...compile.Registered) (*Result, error) {
	path = filepath.Clean(path)
	base := filepath.Base(path)
	if ext := filepath.Ext(base); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(base, ".") {
		return nil, &codes.Error{Code: "W1001", What: path + " is not read by weft", Where: path, Next: []string{"weft check " + filepath.Dir(path)},
			Why: "of a directory it reads the files NAME.yaml and NAME.yml, and none whose name begins with a dot"}
	}
	r, err := Dir(filepath.Dir(path), registered...)
	if err != nil {
		return nil, err
	}
	r.Problems = slices.DeleteFunc(r.Problems, func(p *codes.Error) bool {
		return p.Where != path && !strings.HasPrefix(p.Where, path+":")
	})
	r.Set.Objects = slices.DeleteFunc(r.Set.Objects, func(o *object.Object) bool { return o.Position.File != path })
	return r, nil
}
