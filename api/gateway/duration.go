package gateway

import "time"

// Duration reads a duration in Gateway API's form (GEP-2257), which is a part of Go's, so what a
// decoded object holds always parses. An empty string and whatever else is malformed give 0.
func Duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0
	}
	return d
}
