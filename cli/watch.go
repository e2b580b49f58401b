package cli

import (
	"context"
	"fmt"
	"time"
)

// watch runs show of a verb at once and then every so often, until the user interrupts. On a
// terminal it redraws in place; elsewhere it appends, with an empty line between.
func (a *app) watch(ctx context.Context, verb string, every time.Duration, show func(ctx context.Context) error) error {
	if every < 100*time.Millisecond {
		return usage(fmt.Sprintf("--every %s is too often; at least 100ms", every), "weft "+verb+" --watch --every 1s")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		switch {
		case a.env.Terminal:
			fmt.Fprint(a.env.Stdout, "\x1b[H\x1b[2J") // home, clear
		case !first:
			fmt.Fprintln(a.env.Stdout)
		}
		if err := show(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
