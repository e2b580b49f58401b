package demo

import "math/rand/v2"

// newRand gives a source that differs from run to run: the demo shows chance, not a recording.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
