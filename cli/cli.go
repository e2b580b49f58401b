package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
)

// app is one run of the command line: the environment and the flags that all verbs share.
type app struct {
	env     Env
	control string        // --control
	timeout time.Duration // --timeout, of one question to the control plane
	verbose bool          // -v
	format  string        // -o
	signals chan os.Signal
	noted   bool // the note about several control planes was given
}

// Main runs one command and gives the process's exit code.
func Main(ctx context.Context, env Env, args []string) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &app{env: env, signals: make(chan os.Signal, 1)}
	signal.Notify(a.signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(a.signals)
	done := make(chan struct{})
	defer close(done)
	go watchSignals(a.signals, cancel, done)

	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	var ex *exitError
	if err == nil || code == ExitInterrupted || errors.As(err, &ex) && ex.err == nil {
		return code
	}
	a.report(err, wantsJSON(args))
	return code
}

// watchSignals ends the context at the first signal of the user. It runs until done is closed.
func watchSignals(signals <-chan os.Signal, cancel context.CancelCauseFunc, done <-chan struct{}) {
	select {
	case s := <-signals:
		if s == os.Interrupt {
			cancel(errInterrupted)
		} else {
			cancel(errTerminated)
		}
	case <-done:
	}
}

// report writes an error for a person, or for a program that asked for JSON.
func (a *app) report(err error, asJSON bool) {
	e := *asCoded(err)
	if asJSON {
		b, merr := json.MarshalIndent(struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			*codes.Error
		}{render.APIVersion, "Error", &e}, "", "  ")
		if merr == nil {
			fmt.Fprintf(a.env.Stderr, "%s\n", b)
			return
		}
	}
	e.What, e.Why, e.Where = render.Clean(e.What), render.Clean(e.Why), render.Clean(e.Where)
	fmt.Fprint(a.env.Stderr, e.Text())
	if a.verbose && e.Err != nil {
		fmt.Fprintf(a.env.Stderr, "  cause %s\n", render.Clean(e.Err.Error()))
	}
}

// wantsJSON looks for -o json in the raw arguments, since flags may be what failed to parse.
func wantsJSON(args []string) bool {
	for i, s := range args {
		if s == "--" {
			return false
		}
		switch s {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		}
	}
	return false
}

// root builds the tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "weft",
		Short: "A service mesh for one machine or many",
		Long: `weft carries, secures, measures and explains the traffic between services.

Without a verb it shows the state of the mesh and the next useful command.`,
		Example:       "  weft demo\n  weft\n  weft stat",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			next := []string{"weft help"}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				next = append([]string{"weft " + near[0] + " --help"}, next...)
			}
			return usage(fmt.Sprintf("%q is not a verb of weft", render.Clean(args[0])), next...)
		},
		RunE: a.runHome,
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetIn(a.env.Stdin)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), cmd.CommandPath()+" --help")
	})
	f := root.PersistentFlags()
	f.StringVar(&a.control, "control", "", "control plane: path of its socket, name of its mesh, or host:port (default $WEFT_CONTROL, else the one that runs here)")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for an answer of the control plane")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "show causes of errors and the log")
	exits(root, ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout)
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "see", Title: "See:"},
		&cobra.Group{ID: "more", Title: "More:"},
	)
	for _, v := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{"run", a.demoVerb()}, {"run", a.upVerb()}, {"run", a.runVerb()}, {"run", a.tokenVerb()}, {"run", a.routeTokenVerb()},
		{"see", a.statVerb()}, {"see", a.statusVerb()}, {"see", a.lbVerb()}, {"see", a.explainVerb()}, {"see", a.whoisVerb()},
		{"see", a.pingVerb()}, {"see", a.checkVerb()}, {"see", a.lintVerb()},
		{"more", a.explainCodeVerb()}, {"more", a.versionVerb()}, {"more", completionVerb()},
		{"", a.demoAppVerb()}, {"", a.pingProbeVerb()},
	} {
		v.cmd.GroupID = v.group
		root.AddCommand(v.cmd)
	}
	root.SetHelpCommandGroupID("more")
	root.SetUsageTemplate(usageTemplate)
	cobra.AddTemplateFunc("exitCodes", exitHelp)
	return root
}

// reads gives a verb the common -o.
func (a *app) reads(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.format, "output", "o", string(render.FormatTable), "format: "+strings.Join(render.Formats(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp)) // the flag was made one line above
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[annotationReads] = "true"
	return cmd
}

// outputFormat checks -o.
func (a *app) outputFormat() (render.Format, error) {
	f, err := render.ParseFormat(a.format)
	if err != nil {
		return "", usage("-o " + err.Error())
	}
	return f, nil
}

// show writes an answer in the wished format.
func (a *app) show(f render.Format, d render.Doc) error {
	if err := render.Write(a.env.Stdout, f, a.env.Style, d); err != nil {
		e := codes.New("W4013", "the answer cannot be written")
		e.Why, e.Err = err.Error(), err
		e.Next = []string{"weft explain-code W4013"}
		return e
	}
	return nil
}

// target finds the control plane, and tells once on stderr if there was a choice.
func (a *app) target(ctx context.Context) (place.Target, error) {
	wish := a.control
	if wish == "" {
		wish = a.env.Getenv("WEFT_CONTROL")
	}
	t, err := a.env.Dirs.Find(ctx, wish)
	if err == nil && t.Note != "" && !a.noted {
		a.noted = true
		fmt.Fprintln(a.env.Stderr, "note: "+t.Note)
	}
	return t, err
}

// ask connects to the control plane, calls f within the timeout, and closes.
func (a *app) ask(ctx context.Context, f func(ctx context.Context, c mesh.Client) error) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	c, err := a.env.Dial(ctx, t, a.env.Getenv("WEFT_TOKEN"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing is buffered in it
	return f(ctx, c)
}

// logOutput is where the log of long-running verbs goes: stderr with -v, else nowhere.
func (a *app) logOutput() io.Writer {
	if a.verbose {
		return a.env.Stderr
	}
	return io.Discard
}
