package overload

import "time"

// windowTime and windowSize say when there is enough to judge by: after so long, and so many requests.
const (
	windowTime = 100 * time.Millisecond
	windowSize = 32
)

// window is what was seen since the last judgement. While the limit is open every answer counts that is
// given in it. While it is not, its cohort does: the first that enter. They are judged when three in
// four are answered, so that the long ones count among the others; and what entered before the last
// change of the limit says nothing about it.
type window struct {
	start             time.Duration
	id                uint32 // of the cohort
	entered, answered int
	peak              int // most under way
	ratios            ratios
	usual             float64 // sum over the measured ones, nanoseconds
	cohort            int
	full              bool // nobody joins it any more
	in                int  // sum over the cohort: what was under way as they entered
}

// enter notes a request that enters; in is what is under way with it.
func (w *window) enter(now time.Duration, t *Turn, in int, limited, known bool) {
	w.entered++
	w.peak = max(w.peak, in)
	t.window, t.in = 0, int32(in)
	if !limited {
		return
	}
	w.full = w.full || w.cohort >= windowSize && now-w.start >= windowTime
	if known && !w.full {
		t.window = w.id
		w.cohort++
		w.in += in
	}
}

// judged is how many requests a judgement is about.
func (w *window) judged() int { return max(w.cohort, w.ratios.n) }

// complete reports whether there is enough to judge by.
func (w *window) complete(now time.Duration, limited bool) bool {
	if limited {
		return w.full && 4*w.ratios.n >= 3*w.cohort
	}
	return w.ratios.n >= windowSize && now-w.start >= windowTime
}

// learn takes note of what a request took, if that is usual.
func (l *limit) learn(now time.Duration, t *Turn, took time.Duration) {
	if l.trusts() {
		l.usual.learn(now, t.kind, took)
	}
}

// measure takes note of what a request took, or has taken at least.
func (l *limit) measure(now time.Duration, t *Turn, took time.Duration) {
	w := &l.window
	mean, ok := l.usual.of(t.kind)
	if !ok || mean <= 0 || mean >= long || !l.open && t.window != w.id {
		return
	}
	t.window = 0
	w.ratios.add(float64(took) / float64(mean))
	w.usual += float64(mean)
	l.conclude(now)
}

// forget takes a request out of the cohort that cannot be measured.
func (l *limit) forget(now time.Duration, t *Turn) {
	w := &l.window
	if l.open || t.window != w.id {
		return
	}
	t.window = 0
	w.cohort--
	w.in -= int(t.in)
	l.conclude(now)
}

// conclude judges if there is enough, and begins anew.
func (l *limit) conclude(now time.Duration) {
	w := &l.window
	if w.ratios.n == 0 || !w.complete(now, !l.open) {
		return
	}
	l.judge(now)
	l.begin(now)
}

// begin starts a window.
func (l *limit) begin(now time.Duration) {
	id := l.window.id + 1
	l.window = window{start: now, id: max(id, 1), peak: l.in}
}
