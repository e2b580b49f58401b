package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

// maxTokenLife is the longest life that the control plane gives a token.
const maxTokenLife = 30 * 24 * time.Hour

func (a *app) tokenVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Create join tokens for other machines",
		Long:    "A join token lets a workload of another machine get its first identity. It is a secret: whoever\nhas it can be that workload until it expires.",
		Example: "  weft token create --for cart -n shop --ttl 15m",
		Args:    exactly(0, "a verb: create"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("say what to do with tokens", "weft token create --for NAME", "weft token --help")
		},
	}
	cmd.AddCommand(a.tokenCreateVerb())
	return exits(cmd, ExitOK, ExitUsage)
}

func (a *app) tokenCreateVerb() *cobra.Command {
	q := mesh.TokenQuery{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a join token",
		Long: `Creates a token with which one service account (--for), or any of a namespace (--any), may join
from another machine until --ttl is over. It is printed once and kept nowhere.`,
		Example: "  weft token create --for cart -n shop --ttl 15m\n  weft token create --any -n shop -o json",
		Args:    exactly(0, "no arguments"),
	}
	everyone := false
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := a.outputFormat()
		if err != nil {
			return err
		}
		chosen := 0
		for _, yes := range []bool{q.Account != "", everyone, q.Admin} {
			if yes {
				chosen++
			}
		}
		if chosen != 1 {
			return usage("say for whom, with exactly one of --for NAME, --any and --admin", "weft token create --for cart -n shop")
		}
		if q.TTL <= 0 || q.TTL > maxTokenLife {
			return usage(fmt.Sprintf("--ttl %s is outside of 1s to %s", q.TTL, maxTokenLife), "weft token create --for cart --ttl 15m")
		}
		wish := q
		if everyone {
			wish.Account = "*"
		}
		return a.ask(cmd.Context(), func(ctx context.Context, c mesh.Client) error {
			tok, err := c.CreateToken(ctx, wish)
			if err != nil {
				return err
			}
			return a.show(f, tokenDoc(tok, a.env.Now()))
		})
	}
	fl := cmd.Flags()
	fl.StringVar(&q.Account, "for", "", "service account that may join")
	fl.BoolVar(&everyone, "any", false, "any service account of the namespace may join")
	fl.BoolVar(&q.Admin, "admin", false, "for this command on another machine, instead of a workload")
	fl.StringVarP(&q.Namespace, "namespace", "n", "default", "namespace of the workload")
	fl.DurationVar(&q.TTL, "ttl", time.Hour, "how long the token can be used, up to 720h")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout, ExitForbidden)
}

func tokenDoc(tok *mesh.Token, now time.Time) render.Doc {
	return render.Doc{Kind: "Token", Body: tok, Names: []string{"token/" + tok.Token}, Table: func(t *render.Table, _ bool) {
		t.Line(tok.Token)
		t.Line("")
		t.Header("", "")
		t.Row(render.Texts("ends in", render.Age(tok.Expires.Sub(now)))...)
		t.Row(render.Texts("root", tok.RootHash)...)
		if tok.Listen == "" {
			t.Line("")
			t.Line(t.Paint(render.Warn, "the control plane takes no connections from other machines;") + " start it with  weft up DIR --listen :9443")
			return
		}
		t.Row(render.Texts("use", fmt.Sprintf("WEFT_TOKEN=… weft run --control %s --name NAME -- ./command", tok.Listen))...)
	}}
}
