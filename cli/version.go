package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/version"
)

// build describes this binary.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo reads what the compiler noted.
func buildInfo() build {
	b := build{Version: version.Release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

func (a *app) versionVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this command",
		Long:    "Shows the version of this command. The versions of the control plane and the proxies are in `weft status -o wide`.",
		Example: "  weft version\n  weft version -o json",
		Args:    exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			b := buildInfo()
			return a.show(f, render.Doc{Kind: "Version", Body: b, Names: []string{"version/" + b.Version}, Table: func(t *render.Table, wide bool) {
				t.Line(fmt.Sprintf("weft %s (%s, %s)", b.Version, b.Go, b.Platform))
				if wide && b.Revision != "" {
					t.Line("revision " + b.Revision)
				}
			}})
		},
	}
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage)
}
