package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/api/suggest"
	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

// exactly refuses any other number of arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(fmt.Sprintf("%s takes %s, got %s", cmd.CommandPath(), what, render.Count(len(args), "argument")), cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// atMost refuses more than n arguments.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(fmt.Sprintf("%s takes %s, got %s", cmd.CommandPath(), what, render.Count(len(args), "argument")), cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// ref reads "name" or "ns/name"; namespace is the default, "" for any.
func ref(s, namespace string) mesh.Ref {
	if ns, name, ok := strings.Cut(s, "/"); ok {
		return mesh.Ref{Namespace: ns, Name: name}
	}
	return mesh.Ref{Namespace: namespace, Name: s}
}

// nearest gives the candidates closest to a misspelt word, at most three, by edit distance.
func nearest(word string, candidates []string) []string {
	type scored struct {
		s string
		d int
	}
	var near []scored
	for _, c := range candidates {
		short := c
		if _, after, ok := strings.Cut(c, "/"); ok && !strings.Contains(word, "/") {
			short = after
		}
		if d := suggest.Distance(word, short); d <= max(1, len(word)/3) {
			near = append(near, scored{c, d})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return a.d - b.d })
	var out []string
	for _, n := range near[:min(3, len(near))] {
		out = append(out, n.s)
	}
	return out
}
