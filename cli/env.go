package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/join"
)

// Env is everything that a verb touches outside itself, so that tests can give it a world of
// their own.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(name string) string
	Now            func() time.Time
	Dirs           place.Dirs
	Style          render.Style // of stdout
	// Terminal says that stdout is one, so that --watch may redraw.
	Terminal bool
	// Dial connects to a control plane; token is a join token for administrators, for one that
	// is on another machine.
	Dial func(ctx context.Context, at place.Target, token string) (mesh.Client, error)
	// Up runs a control plane until ctx ends.
	Up func(ctx context.Context, o UpOptions) error
	// Join runs a process in the mesh and gives its exit code.
	Join func(ctx context.Context, at place.Target, token string, o join.Options) (int, error)
	// CheckConfig compiles the configuration in a directory, or in a file as a part of its
	// directory, and gives its problems, or a summary.
	CheckConfig func(path string, isDir bool) (problems []*codes.Error, summary string, err error)
	// LintConfig compiles the configuration in a directory and gives its problems and what is in force
	// and worth a second look, or a summary.
	LintConfig func(dir string) (problems []*codes.Error, summary string, err error)
}

// UpOptions say what a control plane is run with.
type UpOptions struct {
	Dir, StateDir, Socket, Listen string
	TrustDomain                   string
	Log                           *slog.Logger
	Started                       func(control.Started)
	Reloaded                      func(control.Reloaded)
}

// FromOS gives the environment of the present process.
func FromOS() Env {
	tty := isTerminal(os.Stdout)
	dumb := os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == ""
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Now: time.Now, Dirs: place.FromOS(),
		Style:       render.Style{ANSI: tty && !dumb && os.Getenv("NO_COLOR") == ""},
		Terminal:    tty && !dumb,
		Dial:        dial,
		Up:          up,
		Join:        joinMesh,
		CheckConfig: checkConfig,
		LintConfig:  lintConfig,
	}
}

// isTerminal reports whether f is a character device other than the null device.
func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(fi, null)
}
