package decide

import "github.com/weft-mesh/weft/message"

// ApplyRequest makes req what is forwarded: in canonical form, changed by the filters of the rule
// and then of the backend, each in the order listed. c must come from Canonicalize(c, req). req
// then points into s and c; if nothing changes it is left as it is and nothing is copied.
func (d *Decision) ApplyRequest(req *message.Request, c *Canonical, s *Scratch) {
	c.write(req)
	if d.Rule == nil {
		return
	}
	n := requestAdds(d.Rule.filters)
	if d.Backend != nil {
		n += requestAdds(d.Backend.filters)
	}
	if n > 0 {
		req.Fields = s.editable(req.Fields, n)
	}
	d.applyRequest(d.Rule.filters, req, c, s)
	if d.Backend != nil {
		d.applyRequest(d.Backend.filters, req, c, s)
	}
}

// requestAdds counts how many fields the request filters can add at most, plus one for each
// filter, so that it is 0 exactly if no filter edits fields.
func requestAdds(filters []filter) (n int) {
	for i := range filters {
		if e := filters[i].request; e != nil {
			n += len(e.set) + len(e.add) + 1
		}
	}
	return n
}

func (d *Decision) applyRequest(filters []filter, req *message.Request, c *Canonical, s *Scratch) {
	for i := range filters {
		switch f := &filters[i]; {
		case f.request != nil:
			req.Fields = f.request.apply(req.Fields)
			if f.request.host != nil {
				req.Authority = f.request.host
			}
		case f.rewrite != nil:
			if f.rewrite.Hostname != "" {
				start := s.begin(len(f.rewrite.Hostname))
				s.bytes = append(s.bytes, f.rewrite.Hostname...)
				req.Authority = s.end(start)
			}
			if f.rewrite.Path != nil && len(c.Path) > 0 && c.Path[0] == '/' {
				start := s.begin(d.targetSize(f.rewrite.Path, c))
				d.target(f.rewrite.Path, c, s)
				req.Path = s.end(start)
			}
		}
	}
}

// ApplyResponse changes a response on its way to the client: the response header filters of the
// backend and of the rule, then the CORS fields. origin is the Origin field of the request as it
// was received (see Origin and WantsOrigin), nil if it had none.
func (d *Decision) ApplyResponse(resp *message.Response, origin []byte, s *Scratch) {
	if d.Rule == nil {
		return
	}
	n := responseAdds(d.Rule.filters)
	if d.Backend != nil {
		n += responseAdds(d.Backend.filters)
	}
	if d.cors != nil {
		n += corsAdds
	}
	if n == 0 {
		return
	}
	resp.Fields = s.editable(resp.Fields, n)
	applyResponse(d.Rule.filters, resp)
	if d.Backend != nil {
		applyResponse(d.Backend.filters, resp)
	}
	if d.cors != nil {
		resp.Fields = d.cors.actual(resp.Fields, origin, s)
	}
}

func responseAdds(filters []filter) (n int) {
	for i := range filters {
		if e := filters[i].response; e != nil {
			n += len(e.set) + len(e.add) + 1
		}
	}
	return n
}

func applyResponse(filters []filter, resp *message.Response) {
	for i := range filters {
		if e := filters[i].response; e != nil {
			resp.Fields = e.apply(resp.Fields)
		}
	}
}

// WantsOrigin reports whether ApplyResponse needs the request's Origin field.
func (d *Decision) WantsOrigin() bool { return d.cors != nil }

// Response builds the answer of a Redirect or Respond decision; for other actions it is empty.
// req and c are those of the request as received.
func (d *Decision) Response(req *message.Request, c *Canonical, s *Scratch) message.Response {
	resp := message.Response{Status: d.Status}
	switch d.Action {
	case Redirect:
		resp.Fields = s.editable(nil, 1)
		resp.Fields = append(resp.Fields, message.Field{Name: nameLocation, Value: d.Location(req, c, s)})
		d.ApplyResponse(&resp, Origin(req.Fields), s)
	case Respond:
		resp.Fields = d.cors.preflight(req.Fields, s)
	}
	return resp
}

var nameLocation = []byte("location")

// Mirrors yields the backends that get a copy of the request, chosen with Query.Rand; use it as
// `for b := range d.Mirrors`. Backends that cannot be resolved are left out.
func (d *Decision) Mirrors(yield func(*Backend) bool) {
	if d.Action != Forward || d.Rule == nil {
		return
	}
	n := uint64(0)
	if !d.mirrors(d.Rule.filters, &n, yield) {
		return
	}
	d.mirrors(d.Backend.filters, &n, yield)
}

func (d *Decision) mirrors(filters []filter, n *uint64, yield func(*Backend) bool) bool {
	for i := range filters {
		m := filters[i].mirror
		if m == nil {
			continue
		}
		*n++
		if m.backend.Invalid != "" || m.denominator > 0 && scale(mix(d.rand, *n), m.denominator) >= m.numerator {
			continue
		}
		if !yield(m.backend) {
			return false
		}
	}
	return true
}

// mix derives the n-th independent number from rand (SplitMix64), so that mirror fractions do
// not follow the backend weights.
func mix(rand, n uint64) uint64 {
	z := rand + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
