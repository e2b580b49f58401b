package invariant

// S6 holds proxies to rule 6 of ARCHITECTURE.md: every queue is bounded. A reader that falls behind
// holds up its own sender, and nobody else.
var S6 = &Invariant{
	Name: "S6", Says: "what waits in a proxy for one connection, and for all of them, is bounded",
	Harm: "one slow reader takes a proxy's memory, and with it everybody's connections",
}

// Bounds of what waits: for one connection (the proxy stops reading at 1 MiB, and takes in what is on
// its way then), and for all of a proxy (core.Limits.MaxHeld).
const (
	maxQueued = 1500 << 10
	maxTotal  = 12 << 20
)

// Holds notes how many bytes wait in a proxy: most for one connection, and in all.
func (w *Watch) Holds(name string, most, total int) {
	if most > maxQueued {
		w.violated(S6, "%s holds %d bytes for one connection", name, most)
	}
	if total > maxTotal {
		w.violated(S6, "%s holds %d bytes", name, total)
	}
}
