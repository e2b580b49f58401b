package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
)

// completionBudget is how long the shell may be kept waiting for names.
const completionBudget = 100 * time.Millisecond

// names asks the control plane for completions; without an answer in time there are none.
func (a *app) names(cmd *cobra.Command, word string, get func(ctx context.Context, c mesh.Client) ([]mesh.Ref, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionBudget)
	defer cancel()
	a.noted = true // a note would end up in the middle of the prompt
	var out []string
	_ = a.ask(ctx, func(ctx context.Context, c mesh.Client) error { // a shell cannot show the error
		refs, err := get(ctx, c)
		seen := map[string]bool{}
		for _, r := range refs {
			s := r.Name
			if strings.Contains(word, "/") {
				s = r.Namespace + "/" + r.Name
			}
			if strings.HasPrefix(s, word) && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
		return err
	})
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeServices(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.names(cmd, word, func(ctx context.Context, c mesh.Client) ([]mesh.Ref, error) {
		all, err := c.Services(ctx)
		out := make([]mesh.Ref, 0, len(all))
		for _, s := range all {
			out = append(out, mesh.Ref{Namespace: s.Namespace, Name: s.Name})
		}
		return out, err
	})
}

func (a *app) completeWorkloads(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return a.names(cmd, word, func(ctx context.Context, c mesh.Client) ([]mesh.Ref, error) {
		st, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		out := make([]mesh.Ref, 0, len(st.Workloads))
		for _, w := range st.Workloads {
			out = append(out, mesh.Ref{Namespace: w.Namespace, Name: w.Name})
		}
		return out, nil
	})
}

// completeFlag gives a flag of cmd a completion.
func (a *app) completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic("cli: completion for a flag that " + cmd.Name() + " does not have: " + flag) // a programming error, seen by every test
	}
}
