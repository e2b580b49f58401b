package balance

// Inflight is how many requests to the endpoints of the set were started and not settled.
func (s *Set) Inflight() int {
	n := 0
	for _, e := range s.all {
		n += e.Inflight
	}
	return n
}
