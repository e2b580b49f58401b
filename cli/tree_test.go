package cli

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weft-mesh/weft/cli/render"
)

// tree gives the whole command line, and every verb in it but the root.
func tree(t *testing.T) (root *cobra.Command, verbs []*cobra.Command) {
	t.Helper()
	a := &app{env: Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}}
	root = a.root()
	root.InitDefaultHelpCmd()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() == "help" {
				continue
			}
			verbs = append(verbs, sub)
			walk(sub)
		}
	}
	walk(root)
	return root, verbs
}

func TestTheVerbsAreTheOnesThatAreDocumented(t *testing.T) {
	_, verbs := tree(t)
	var visible []string
	for _, v := range verbs {
		if !v.Hidden {
			visible = append(visible, strings.TrimPrefix(v.CommandPath(), "weft "))
		}
	}
	slices.Sort(visible)
	want := []string{"check", "completion", "demo", "explain", "explain-code", "lb", "lint", "ping", "route-token", "route-token key", "route-token sign", "run", "stat", "status", "token", "token create", "up", "version", "whois"}
	if !slices.Equal(visible, want) {
		t.Errorf("visible verbs are\n %q, wanted\n %q", visible, want)
	}
}

func TestEveryVerbExplainsItself(t *testing.T) {
	root, verbs := tree(t)
	for _, v := range append(verbs, root) {
		t.Run(v.CommandPath(), func(t *testing.T) {
			if v.Short == "" || strings.HasSuffix(v.Short, ".") || len(v.Short) > 80 {
				t.Errorf("Short is %q: wanted one line without a full stop", v.Short)
			}
			if len(v.Long) < 40 {
				t.Errorf("Long is %q: wanted a description", v.Long)
			}
			for _, l := range strings.Split(v.Long, "\n") {
				if len(l) > 130 {
					t.Errorf("a line of Long has %d characters: %s", len(l), l)
				}
			}
			if !v.Hidden && v.HasParent() && v.GroupID == "" && v.Parent() == root {
				t.Error("it is in no group of the help page")
			}
			if v.Annotations[annotationExits] == "" {
				t.Error("its exit codes are not documented")
			}
			var out bytes.Buffer
			v.SetOut(&out)
			if err := v.Help(); err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"Usage:", "Examples:", "Exit codes:", "130"} {
				if !strings.Contains(out.String(), part) {
					t.Errorf("the help has no %q:\n%s", part, out.String())
				}
			}
		})
	}
}

// TestEveryExampleCanBeParsed parses each example as the shell would hand it over: verbs and
// flags exist, and arguments are accepted.
func TestEveryExampleCanBeParsed(t *testing.T) {
	_, verbs := tree(t)
	for _, v := range verbs {
		if v.Example == "" {
			t.Errorf("%s has no example", v.CommandPath())
		}
		for _, line := range strings.Split(v.Example, "\n") {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				words := strings.Fields(line)
				if len(words) == 0 || words[0] != "weft" {
					t.Fatalf("an example must begin with weft")
				}
				root, _ := tree(t)
				cmd, rest, err := root.Find(words[1:])
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(line, v.CommandPath()) && !strings.Contains(line, v.Name()) {
					t.Errorf("the example shows %s, not %s", cmd.CommandPath(), v.CommandPath())
				}
				if err := cmd.ParseFlags(rest); err != nil {
					t.Fatal(err)
				}
				if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// changing verbs do not read: they have no common -o.
var changing = []string{"weft up", "weft run", "weft token", "weft route-token", "weft completion", "weft demo-app", "weft ping-probe"}

func TestEveryReadingVerbHasTheCommonOutputFlag(t *testing.T) {
	_, verbs := tree(t)
	for _, v := range verbs {
		o := v.Flags().Lookup("output")
		if slices.Contains(changing, v.CommandPath()) {
			if o != nil {
				t.Errorf("%s has -o but is listed as changing", v.CommandPath())
			}
			continue
		}
		if o == nil || o.Shorthand != "o" || o.DefValue != string(render.FormatTable) || v.Annotations[annotationReads] == "" {
			t.Errorf("%s lacks the common -o", v.CommandPath())
			continue
		}
		for _, f := range render.Formats() {
			if !strings.Contains(o.Usage, f) {
				t.Errorf("%s: -o does not name %s", v.CommandPath(), f)
			}
		}
	}
}

func TestFlagsMeanTheSameEverywhere(t *testing.T) {
	root, verbs := tree(t)
	short := map[string]string{}
	for _, v := range append(verbs, root) {
		seen := map[string]bool{}
		v.Flags().VisitAll(func(f *pflag.Flag) {
			if seen[f.Name] {
				t.Errorf("%s: --%s twice", v.CommandPath(), f.Name)
			}
			seen[f.Name] = true
			if f.Usage == "" {
				t.Errorf("%s: --%s has no description", v.CommandPath(), f.Name)
			}
			if root.PersistentFlags().Lookup(f.Name) != nil && v != root && v.LocalNonPersistentFlags().Lookup(f.Name) != nil && v.InheritedFlags().Lookup(f.Name) == nil {
				t.Errorf("%s: --%s hides the flag of all verbs", v.CommandPath(), f.Name)
			}
			if f.Shorthand == "" {
				return
			}
			if other, ok := short[f.Shorthand]; ok && other != f.Name {
				t.Errorf("%s: -%s is --%s here and --%s elsewhere", v.CommandPath(), f.Shorthand, f.Name, other)
			}
			short[f.Shorthand] = f.Name
		})
	}
}

func TestCompletionScriptsAreMadeForAllShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out, errs bytes.Buffer
		env := Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		if code := Main(context.Background(), env, []string{"completion", shell}); code != ExitOK {
			t.Errorf("%s: exit code %d: %s", shell, code, errs.String())
		}
		if !strings.Contains(out.String(), "weft") || strings.Contains(out.String(), "\x1b[") {
			t.Errorf("%s: the script is not one: %.80q", shell, out.String())
		}
	}
}

func TestHelpHasNoEscapes(t *testing.T) {
	_, verbs := tree(t)
	escape := regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]`)
	for _, v := range verbs {
		var out bytes.Buffer
		v.SetOut(&out)
		_ = v.Help()
		if escape.MatchString(out.String()) {
			t.Errorf("%s: the help has control characters", v.CommandPath())
		}
	}
}
