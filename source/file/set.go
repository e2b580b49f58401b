package file

import (
	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
)

// Set is all that a directory holds at one moment. It is immutable. Objects of files that did not
// change are the same pointers from Set to Set.
type Set struct {
	Objects  []*object.Object // in the order of file names and lines
	Problems []*codes.Error   // in the same order
	Ignored  []string         // kinds passed over in silence, each with its place
	Files    int              // how many files were read
}

// entry is what is held of one file.
type entry struct {
	seen     fingerprint
	objects  []*object.Object
	problems []*codes.Error
	ignored  []string
}

// merge decides what is in force of a file that was read again: what is right now, and of what is
// wrong now, the last good version.
func merge(before []*object.Object, res decode.Result) (now []*object.Object, problems []*codes.Error) {
	written := map[object.Key]bool{}
	for _, o := range res.Objects {
		written[o.Key] = true
	}
	refused := map[object.Key]bool{}
	for _, k := range res.Refused {
		refused[k] = true
	}
	kept := map[object.Key]bool{}
	now = append(now, res.Objects...)
	for _, o := range before {
		// Where something cannot be identified, what is absent may be what was meant.
		if !written[o.Key] && (refused[o.Key] || res.Unidentified) {
			now = append(now, o)
			kept[o.Key] = true
		}
	}
	for _, p := range res.Problems {
		e := *p.Error
		if kept[p.Object] || len(kept) > 0 && !refused[p.Object] && !written[p.Object] && !codes.IsWarning(e.Code) {
			e.What += "; the last good version stays in force"
		}
		problems = append(problems, &e)
	}
	return now, problems
}
