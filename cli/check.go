package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/check"
	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
)

func (a *app) checkVerb() *cobra.Command {
	var pre, exitZero bool
	cmd := &cobra.Command{
		Use:   "check [DIR|FILE]",
		Short: "Look for problems in files, on this machine, or in the running mesh",
		Long: `Without an argument it looks at everything that runs: this machine, the control plane, the
proxies, and the configuration in force. With DIR it reads the configuration in DIR instead, with
the code of the control plane, and needs none to run; which workloads a selector matches is then
not known. With FILE it tells what is wrong in that file, read together with the files beside it.
With --pre it looks at this machine only, before anything is started (with DIR at both).

Each finding has a code, the observed value, the place, and a command that mends it.`,
		Example: "  weft check\n  weft check --pre\n  weft check mesh/ -o json\n  weft check mesh/cart.yaml",
		Args:    atMost(1, "at most one directory or file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			isDir := false
			if len(args) == 1 {
				if isDir, err = checkPath(args[0]); err != nil {
					return err
				}
			}
			var results []mesh.Check
			if pre || len(args) == 0 {
				results = append(results, check.Platform(cmd.Context(), check.ThisHost(a.env.Dirs))...)
			}
			if len(args) == 1 {
				results = append(results, a.checkConfig(args[0], isDir)...)
			}
			unreachable := false
			if !pre && len(args) == 0 {
				var live []mesh.Check
				live, unreachable, err = a.checkMesh(cmd.Context())
				if err != nil {
					return err
				}
				results = append(results, live...)
			}
			if err := a.show(f, checkDoc(results)); err != nil {
				return err
			}
			switch {
			case exitZero:
				return nil
			case unreachable:
				return &exitError{code: ExitUnreachable}
			case findingsIn(results) > 0:
				return findings()
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&pre, "pre", false, "only look at this machine, before a mesh runs on it")
	cmd.Flags().BoolVar(&exitZero, "exit-zero", false, "exit 0 in spite of findings, for reports")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitFindings, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// checkMesh asks the running control plane. That it cannot be reached is a finding among others.
func (a *app) checkMesh(ctx context.Context) (results []mesh.Check, unreachable bool, err error) {
	err = a.ask(ctx, func(ctx context.Context, c mesh.Client) error {
		results, err = c.Checks(ctx)
		return err
	})
	var coded *codes.Error
	if errors.As(err, &coded) && coded.Code == "W4002" {
		return []mesh.Check{{Area: "control plane", Name: "reachable", State: check.Failed, Evidence: coded.Why, Fault: mesh.FaultOf(coded)}}, true, nil
	}
	return results, false, err
}

// checkPath refuses a path at which there is nothing, which is a mistake in the command and no
// finding about a configuration.
func checkPath(path string) (isDir bool, err error) {
	fi, err := os.Stat(path)
	if err == nil {
		return fi.IsDir(), nil
	}
	e := codes.New("W4011", fmt.Sprintf("the configuration %q cannot be read", path))
	e.Why, e.Err, e.Next = err.Error(), err, []string{"ls -ld " + filepath.Dir(path)}
	if errors.Is(err, fs.ErrNotExist) {
		e.Why = "it does not exist"
	}
	return false, e
}

// checkConfig compiles a directory or a file with the control plane's code.
func (a *app) checkConfig(dir string, isDir bool) []mesh.Check {
	const area, name = "configuration", "objects in "
	problems, summary, err := a.env.CheckConfig(dir, isDir)
	if err != nil {
		return []mesh.Check{{Area: area, Name: name + dir, State: check.Failed, Evidence: "not read", Fault: mesh.FaultOf(err)}}
	}
	if len(problems) == 0 {
		return []mesh.Check{{Area: area, Name: name + dir, State: check.OK, Evidence: summary}}
	}
	return asChecks(area, name+dir, problems)
}

func findingsIn(results []mesh.Check) (n int) {
	for _, r := range results {
		if r.State != check.OK {
			n++
		}
	}
	return n
}

func checkDoc(results []mesh.Check) render.Doc {
	if results == nil {
		results = []mesh.Check{}
	}
	d := render.Doc{Kind: "CheckReport", Body: struct {
		Findings int          `json:"findings"`
		Checks   []mesh.Check `json:"checks"`
	}{findingsIn(results), results}}
	for _, r := range results {
		if r.Fault != nil {
			d.Names = append(d.Names, "code/"+r.Fault.Code)
		}
	}
	d.Table = func(t *render.Table, _ bool) {
		area := ""
		for _, r := range results {
			if r.Area != area {
				if area != "" {
					t.Line("")
				}
				t.Line(t.Paint(render.Strong, r.Area))
				t.Header()
				area = r.Area
			}
			mark := render.Toned(render.Good, "  ok")
			switch r.State {
			case check.Warning:
				mark = render.Toned(render.Warn, "   !")
			case check.Failed:
				mark = render.Toned(render.Bad, "   x")
			}
			t.Row(mark, render.Text(render.Clean(r.Name)), render.Toned(render.Dim, render.Clean(r.Evidence)))
			if r.Fault != nil {
				checkFault(t, r.Fault)
			}
		}
		t.Line("")
		if n := findingsIn(results); n > 0 {
			t.Line(render.Count(n, "finding"))
		} else {
			t.Line("all is well")
		}
	}
	return d
}

// checkFault shows a finding under its line.
func checkFault(t *render.Table, f *mesh.Fault) {
	t.Line(fmt.Sprintf("       %s: %s", f.Code, render.Clean(f.What)))
	if f.Why != "" {
		t.Line("       why   " + render.Clean(f.Why))
	}
	if f.Where != "" {
		t.Line("       where " + render.Clean(f.Where))
	}
	label := "next "
	for _, n := range append(f.Next, "weft explain-code "+f.Code) {
		t.Line("       " + label + " " + render.Clean(n))
		label = "     "
	}
	t.Header()
}
