// Package check finds everything that is wrong with a directory of configuration, without
// applying it. It is what `weft check DIR` says.
package check

import (
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/source/file"
)

// Result is what was found.
type Result struct {
	Problems []*codes.Error // of the files, then of what they say together
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
	r := &Result{Set: set, Snapshot: snap}
	r.Problems = append(r.Problems, set.Problems...)
	r.Problems = append(r.Problems, problems...)
	return r, nil
}
