//go:build linux

package epoll

import "testing"

// recordSizes are the plain text of a wake-up: a small request, a full record, several records.
var recordSizes = []struct {
	name  string
	bytes int
}{{"200", 200}, {"16k", 16 << 10}, {"60k", 60 << 10}}

// sealAndOpen gives a function that seals bytes as a loop does, in one write of corked records, and
// another that opens them, fed as a loop feeds what one read gave.
func sealAndOpen(t testing.TB, n int) func() {
	r, peer, rec := linked(t, settings(), true)
	msg := text(n)
	r.c.feed.cork = true
	return func() {
		// There: our end seals.
		if _, err := r.c.tls.Write(msg); err != nil {
			t.Fatal(err)
		}
		if len(r.c.pending) < n {
			t.Fatalf("%d bytes sealed of %d", len(r.c.pending), n)
		}
		r.c.pending = r.c.pending[:0]
		// And back: our end opens.
		if _, err := peer.Write(msg); err != nil {
			t.Fatal(err)
		}
		r.c.feed.in = rec.out
		opened := 0
		for {
			m, err := r.c.tls.Read(r.scratch)
			opened += m
			if err == errNoBytes { //nolint:errorlint // the very value
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if opened != n {
			t.Fatalf("%d bytes opened of %d", opened, n)
		}
		rec.out = rec.out[:0]
	}
}

func BenchmarkSealAndOpen(b *testing.B) {
	for _, s := range recordSizes {
		b.Run(s.name, func(b *testing.B) {
			once := sealAndOpen(b, s.bytes)
			b.SetBytes(int64(2 * s.bytes))
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
