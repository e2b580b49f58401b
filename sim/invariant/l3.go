package invariant

// L3 is that work leaves nothing behind: a mesh runs for months.
var L3 = &Invariant{
	Name: "L3", Says: "a mesh at rest holds no connection, request, timer or count of what has been",
	Harm: "memory grows until the proxy is killed; endpoints that count as busy get no requests",
}

// AtRest notes what a proxy holds when nothing has happened for longer than any deadline; holds is
// empty if that is nothing.
func (w *Watch) AtRest(name, holds string) {
	if holds != "" {
		w.violated(L3, "%s still holds %s", name, holds)
	}
}
