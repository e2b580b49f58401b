package invariant

// S9 is that encryption is no preference: what cannot be sealed is not sent.
var S9 = &Invariant{
	Name: "S9", Says: "nothing goes from one workload of the mesh to another in the clear",
	Harm: "whoever is on the path reads it, and may answer in the callee's name",
}

func (w *Watch) checkSealed(name, addr string) {
	w.violated(S9, "%s dials %s without TLS", name, addr)
}
