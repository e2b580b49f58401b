package invariant

// L4 is that a fault is forgiven: whoever was avoided is tried again once it is well.
var L4 = &Invariant{
	Name: "L4", Says: "a while after all faults have ended, every endpoint gets requests again",
	Harm: "after an incident a part of what is paid for stands idle, until somebody restarts it",
}

// enough requests for each endpoint on average, to tell one that is avoided from one that had no luck.
const enough = 12

// Forgiven begins to count who is asked.
func (w *Watch) Forgiven() { w.served, w.counts = map[string]map[string]uint64{}, true }

// CheckForgiven holds a service's endpoints to that, if there were enough requests to tell.
func (w *Watch) CheckForgiven(service string, workloads []string) {
	var all uint64
	for _, n := range w.served[service] {
		all += n
	}
	if all < uint64(enough*len(workloads)) {
		return
	}
	for _, x := range workloads {
		if w.served[service][x] == 0 {
			w.violated(L4, "%s got none of %d requests for %s", x, all, service)
		}
	}
}
