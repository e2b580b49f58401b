package telemetry

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// steps are what a loop counts, one call each.
func steps() map[string]func() {
	sh := NewRegistry(1).Shard(0)
	k := key("cart")
	s := sh.Get(k)
	return map[string]func(){
		"request": func() {
			s.Start()
			s.End(200, false, false, 1234*time.Microsecond, 100, 2000)
		},
		"tries":          func() { s.Retried(); s.TryFailed(); s.Hedged(); s.HedgeWon() },
		"series refusal": func() { s.Refused("W3320") },
		"lookup":         func() { sh.Get(k) },
		"refusal":        func() { sh.Refused("W3001") },
		"connection":     func() { sh.Conn(true); sh.Conn(false) },
	}
}

func BenchmarkCount(b *testing.B) {
	steps := steps()
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		once := steps[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
