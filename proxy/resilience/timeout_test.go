package resilience

import (
	"testing"
	"time"
)

func TestTimeoutsAreReadAsGRPCWritesThem(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"250m": 250 * time.Millisecond, "5S": 5 * time.Second, "1M": time.Minute, "2H": 2 * time.Hour,
		"7u": 7 * time.Microsecond, "99n": 99, "0m": 0, "00000001S": time.Second,
		"99999999m": 99999999 * time.Millisecond, "99999999H": MaxTimeout, "99999999S": MaxTimeout,
	} {
		if got, ok := ParseTimeout([]byte(v)); !ok || got != want {
			t.Errorf("%q: got %s, %v, want %s", v, got, ok, want)
		}
	}
	for _, v := range []string{"", "m", "5", "5s", "-5S", "+5S", "5 S", "123456789m", "1.5S", "5ms", "S5", "5µ"} {
		if got, ok := ParseTimeout([]byte(v)); ok {
			t.Errorf("%q is read as %s", v, got)
		}
	}
}

func TestATimeoutIsWrittenWithoutGrowing(t *testing.T) {
	for d, want := range map[time.Duration]string{
		250 * time.Millisecond: "250000u", 99 * time.Second: "99000000u", 100 * time.Second: "100000m",
		0: "1u", -time.Second: "1u", 999: "1u", 30 * time.Hour: "108000S", 10_000 * time.Hour: "3600000S",
	} {
		if got := string(AppendTimeout(nil, d)); got != want {
			t.Errorf("%s is written as %s, want %s", d, got, want)
		}
	}
}

func FuzzTimeout(f *testing.F) {
	for _, v := range []string{"250m", "99999999H", "1u", "0n", "x"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		d, ok := ParseTimeout(v)
		if !ok {
			return
		}
		if d < 0 || d > MaxTimeout {
			t.Fatalf("%q is read as %s", v, d)
		}
		again, ok := ParseTimeout(AppendTimeout(nil, d))
		if !ok || again > max(d, time.Microsecond) || d-again > max(d/1000, time.Microsecond) {
			t.Fatalf("%q is %s, and then %s", v, d, again)
		}
	})
}
