package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/check"
	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/codes"
)

func (a *app) lintVerb() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Look for errors, dangers and dead words in a configuration",
		Long: `Reads the configuration in DIR (the present directory if none is given) with the code of the
control plane, and needs none to run. It finds what weft check DIR finds, and beside that what is in
force and worth a second look: settings that are dangerous (a fault for everybody, a mirror to the
service's own backend, every endpoint ejectable) or do nothing (a policy without a target).

Warnings alone leave the exit code at 0, unless --strict is given: put that into CI.`,
		Example: "  weft lint mesh/\n  weft lint --strict mesh/\n  weft lint mesh/ -o json",
		Args:    atMost(1, "at most one directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			isDir, err := checkPath(dir)
			if err != nil {
				return err
			}
			if !isDir {
				return usage(fmt.Sprintf("%q is a file, and what is dangerous shows in the whole directory", dir), "weft lint DIR", "weft check "+dir)
			}
			results := a.lint(dir)
			d := checkDoc(results)
			d.Kind = "LintReport"
			if err := a.show(f, d); err != nil {
				return err
			}
			failed := func(r mesh.Check) bool { return r.State == check.Failed }
			if slices.ContainsFunc(results, failed) || strict && findingsIn(results) > 0 {
				return findings()
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings fail too")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitFindings)
}

// lint compiles a directory and gives its problems and what is advised.
func (a *app) lint(dir string) []mesh.Check {
	const area = "configuration"
	name := "objects in " + dir
	problems, summary, err := a.env.LintConfig(dir)
	if err != nil {
		return []mesh.Check{{Area: area, Name: name, State: check.Failed, Evidence: "not read", Fault: mesh.FaultOf(err)}}
	}
	if len(problems) == 0 {
		return []mesh.Check{{Area: area, Name: name, State: check.OK, Evidence: summary}}
	}
	return asChecks(area, name, problems)
}

// asChecks shows problems of a configuration as results.
func asChecks(area, name string, problems []*codes.Error) []mesh.Check {
	var out []mesh.Check
	for _, p := range problems {
		state := check.Failed
		if codes.IsWarning(p.Code) {
			state = check.Warning
		}
		out = append(out, mesh.Check{Area: area, Name: name, State: state, Evidence: p.Where, Fault: mesh.FaultOf(p)})
	}
	return out
}
