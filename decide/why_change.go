package decide

// Steps that only show where somebody asked for what they tell.
const (
	StepSession Step = "session"
	StepFaults  Step = "faults"
)

// session tells whether the request belongs to one, never its value: whoever has that has the session.
func (w *Reasons) session(d *Decision) {
	if !d.Session.On {
		return
	}
	s := d.Calls().Session
	object := "cookie " + SessionName(s)
	if s.Header {
		object = "header " + SessionName(s)
	}
	detail := "the request has none that holds: its endpoint is chosen as for any other, and the response names it"
	outcome := Missed
	if d.Session.Endpoint != 0 {
		outcome, detail = OK, "kept with "+d.Backend.label()+" and the endpoint that it names, as long as that is ready"
	}
	w.add(StepSession, object, source(d.Calls().Sources.Session), outcome, detail)
}

// faults tells which faults a request like this one may get, and which the query's number chose.
func (w *Reasons) faults(q *Query, d *Decision) {
	if d.Action != Forward || q.Opaque {
		return
	}
	list := d.possibleFaults()
	for i := range list {
		if !list[i].hit(q) {
			continue
		}
		outcome := Missed
		if d.faults&(1<<i) != 0 {
			outcome = Chosen
		}
		w.add(StepFaults, "", source(d.Calls().Sources.Faults), outcome, list[i].describe())
	}
}
