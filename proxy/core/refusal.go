package core

// countRefusal counts, for the proxy and for whom the exchange is counted, that it is answered
// here instead of being carried. Whoever turns a request away without refuse calls it too.
func (x *exchange) countRefusal(code string) {
	x.core.shard.Refused(code)
	if x.series != nil {
		x.series.Refused(code)
	}
}
