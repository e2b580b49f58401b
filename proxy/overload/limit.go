package overload

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/model"
)

const (
	// An application is overloaded if it is slow and behind for soon windows one after the other by a
	// quarter of what entered, or for later windows by a thirty-second; and by more than chance would
	// have it. After so many windows as forget the sums begin anew.
	soon, later, forget = 3, 10, 100
	// pace is over how long the usual speed is taken.
	pace = 2 * time.Second
	// respite is for how long nothing is limited after a mistake, at first; it doubles up to eight times
	// as long while mistakes follow each other within wary.
	respite = 5 * time.Second
	wary    = 2 * time.Minute
	// probe is how often more than the lowest limit is tried if that is still slow, at first.
	probe = time.Second
	// flood is how many times as many requests as are usually answered have to come for that to be why
	// an application answers fewer than usual.
	flood = 1.5
	// apart is how far two levels of what is under way have to be apart to be compared.
	apart = 0.7
	// calm is for how long nobody may have been held up until the limit is lifted.
	calm = 5 * time.Second
	// smooth is how much of a change the limit makes at once.
	smooth = 0.5
	// growth is how much of its square root the limit grows by.
	growth = 0.25
)

// limit is how many requests the application is given at a time.
//
// At first it is open: only the configured maximum holds. It closes when the application is
// overloaded, for which two things must be true of several windows one after the other:
//
//   - it is slow: three in four requests take longer than the tolerance times what their kind takes
//     usually, and that much longer that it matters (a fifth of the queue's interval);
//   - it is behind: of what enters a quarter is not answered meanwhile, or for longer a part that is
//     no chance, although it answers as many a second as before, or nearly. (An application whose
//     database becomes slow answers fewer for a while, then as many, only later.)
//
// So a burst is not overload, it is worked off; nor is a closed circle of clients who each wait for
// their answer before they ask again, however many they are; nor an application that has always
// been slow.
//
// The limit is then set to half of what is under way, for proof. If fewer requests at a time are as
// slow as more were, the application is slow for a reason of its own (a database, a pause), and
// giving it less helps nobody: the limit opens for a while. If they are faster, the limit is set to
// what the application answers at its usual speed (by Little's law, answers a second times usual
// latency, times the tolerance), and follows its latency from there (Gradient2): by the ratio of
// tolerated to measured latency down, by a quarter of its square root up, if it is used by half at least.
type limit struct {
	cfg    model.Concurrency // Min and Max as the loop's share
	queue  model.Queue
	open   bool
	at     float64 // while not open
	usual  usual
	in     int     // requests that the application has, without those of long ago
	urgent int     // those of critical and above
	way    bool    // those may enter whatever the limit
	inside [2]list // the same, the oldest first: of kinds that were not known as they entered, and that were

	window window

	slow struct { // windows in a row that were slow, in which less was answered than entered
		windows, entered, answered int
	}
	patience  int           // what respite is multiplied with
	mistakeAt time.Duration // when the last mistake was found
	probed    time.Duration // when more than the lowest limit was last tried
	probeWait time.Duration
	ref       level         // what to compare with
	ratio     float64       // of the last window
	held      time.Duration // when a request was last held up
	usualRate float64       // answers a nanosecond

	closed, mistook uint64 // times

	rateFrom time.Duration // of rate
	rateN    int
	rate     float64 // requests that entered, a second
}

// level is how slow requests were that entered when so much was under way.
type level struct{ in, ratio float64 }

// configure sets the bounds. A limit that holds stays.
func (l *limit) configure(c model.Concurrency, q model.Queue) {
	l.cfg, l.queue = c, q
	if !c.Adaptive {
		l.lift()
	}
	l.at = min(max(l.at, float64(c.Min)), float64(c.Max))
}

func (l *limit) lift() {
	l.open, l.at = true, float64(l.cfg.Max)
	l.slow.windows, l.slow.entered, l.slow.answered, l.ref = 0, 0, 0, level{}
	l.window.id++
}

// now is the limit in force.
func (l *limit) now() int {
	if l.open {
		return l.cfg.Max
	}
	return int(l.at)
}

// free reports whether one more of a priority may enter. Critical requests may while there are fewer
// critical ones than the limit, so that they need not wait for those that they take precedence of; and
// always, up to the configured maximum, if the application answers more than all critical ones.
func (l *limit) free(p model.Priority) bool {
	if p >= model.PriorityCritical {
		return l.urgent < l.now() || l.way && l.urgent < l.cfg.Max
	}
	return l.in < l.now()
}

// enter gives a request to the application.
func (l *limit) enter(now time.Duration, t *Turn) {
	t.place, t.since = inside, now
	mean, known := l.usual.of(t.kind)
	t.known = known
	l.inside[which(known)].push(t)
	l.in++
	if t.priority >= model.PriorityCritical {
		l.urgent++
	}
	l.window.enter(now, t, l.in, !l.open, known && mean < long)
	l.rateN++
	if d := now - l.rateFrom; d >= windowTime {
		l.rate = float64(l.rateN) / d.Seconds()
		l.rateFrom, l.rateN = now, 0
	}
}

// leave takes a request out of what the application has.
func (l *limit) leave(t *Turn) {
	if t.place != inside {
		return
	}
	l.inside[which(t.known)].remove(t)
	l.in--
	if t.priority >= model.PriorityCritical {
		l.urgent--
	}
	t.place = outside
}

func which(known bool) int {
	if known {
		return 1
	}
	return 0
}

// age takes out what has been under way for so long that it waits and does not work. It reports
// whether it also opened a limit that holds nobody up any more.
func (l *limit) age(now time.Duration) bool {
	if !l.cfg.Adaptive { // what is configured holds for all
		return false
	}
	for i, bound := range [...]time.Duration{long, longKnown} {
		for t := l.inside[i].head; t != nil && now-t.since >= bound; t = l.inside[i].head {
			l.leave(t)
			t.place = aside
			l.window.answered++ // or it would seem to be owed
			l.measure(now, t, now-t.since)
		}
	}
	if l.open || now-l.held < calm {
		return false
	}
	l.lift()
	return true
}

// trusts reports whether what the application does at present is usual: it is neither overloaded nor
// suspected to be.
func (l *limit) trusts() bool { return l.open && l.slow.windows == 0 }

// judge draws the conclusion of a window.
func (l *limit) judge(now time.Duration) {
	if !l.cfg.Adaptive {
		return
	}
	w := &l.window
	n := w.judged()
	l.ratio = w.ratios.rank(n / 4)
	mean := w.usual / float64(w.ratios.n)
	late := func(floor time.Duration) bool {
		return l.ratio > l.cfg.Tolerance && (l.ratio-1)*mean > float64(floor)
	}
	if l.open {
		l.suspect(now, late(l.queue.Interval/5), mean)
		return
	}
	at := level{float64(w.in) / float64(n), w.ratios.rank(n / 2)}
	slow := late(l.queue.Target)
	switch cause := l.compare(at); {
	case slow && cause == itself:
		l.mistake(now)
	case slow && cause == load:
		answers := float64(w.answered) / float64(now-w.start) // a nanosecond
		l.set(min(l.at, answers*mean*l.cfg.Tolerance))
	case slow && l.at <= float64(l.cfg.Min):
		if now-l.probed >= l.probeWait {
			l.probed, l.probeWait = now, min(2*l.probeWait, 32*probe)
			l.set(2 * l.at)
		}
	case slow && l.ratio > 2*l.cfg.Tolerance:
		l.set(l.at / 2)
	case slow:
		l.set(l.at * (1 - smooth + smooth*max(l.cfg.Tolerance/l.ratio, 0.5)))
	case w.peak >= l.now()/2:
		l.set(l.at + growth*math.Sqrt(l.at))
	}
}

// cause is why an application is slow.
type cause uint8

const (
	unknown cause = iota
	load          // the more is under way the slower it is
	itself        // it is as slow with less
)

// compare says whether how slow requests are depends on how many there are: under overload in
// proportion, otherwise not at all; the border is half-way between.
func (l *limit) compare(now level) cause {
	r := &l.ref
	low, high := *r, now
	switch {
	case r.in == 0:
		*r = now
		return unknown
	case now.in <= apart*r.in:
		low, high = now, *r
	case now.in >= r.in/apart:
	default:
		if now.in >= 0.9*r.in && now.in <= r.in/0.9 {
			r.ratio = now.ratio
		}
		return unknown
	}
	*r = now
	if high.ratio >= low.ratio*math.Sqrt(high.in/low.in) {
		return load
	}
	return itself
}

// mistake opens the limit, and leaves it open for some time.
func (l *limit) mistake(now time.Duration) {
	l.mistook++
	l.patience = min(2*l.patience, 8)
	if l.mistook == 1 || now-l.mistakeAt >= wary {
		l.patience = 1
	}
	l.mistakeAt = now
	l.lift()
}

func (l *limit) set(at float64) { l.at = min(max(at, float64(l.cfg.Min)), float64(l.cfg.Max)) }

// keepsPace reports whether the application answered as many a second in this window as it did lately, or
// nearly so, and brings that up to date.
func (l *limit) keepsPace(now time.Duration) bool {
	d := now - l.window.start
	if d <= 0 {
		return true
	}
	rate := float64(l.window.answered) / float64(d)
	keeps := rate >= 0.8*l.usualRate
	l.usualRate += (rate - l.usualRate) * (1 - math.Exp(-float64(d)/float64(pace)))
	return keeps
}

// suspect decides whether the application is overloaded.
func (l *limit) suspect(now time.Duration, slow bool, mean float64) {
	w, s := &l.window, &l.slow
	s.windows++
	s.entered += w.entered
	s.answered += w.answered
	owed := s.entered - s.answered
	usual := l.usualRate // before this window
	// What is flooded may answer next to nothing, if its requests share what it has and their callers
	// give up: that it is slow for a reason of its own is only believed if no more came than usual.
	keeps := l.keepsPace(now) || float64(w.entered) > flood*usual*float64(now-w.start)
	if slow {
		l.usualRate = usual
	}
	rest := l.mistook > 0 && now-l.mistakeAt < respite*time.Duration(l.patience)
	if !slow || owed <= 0 || rest || s.windows > forget || !keeps {
		s.windows, s.entered, s.answered = 0, 0, 0
		return
	}
	chance := 3 * math.Sqrt(2*float64(s.entered)) // of two Poisson processes
	sure := float64(owed) - chance
	if (s.windows < soon || sure < float64(s.entered)/4) && (s.windows < later || sure < float64(s.entered)/32) {
		return
	}
	l.closed++
	l.open, l.held = false, now
	l.ref = level{}
	l.probed, l.probeWait = now, probe
	s.windows, s.entered, s.answered = 0, 0, 0
	l.set(float64(l.in) / 2)
	if float64(w.answered) < usual*float64(now-w.start)/2 {
		// Nothing can be learned from half of it: callers would go on to give up, after as long as before.
		l.set(min(l.at, usual*mean*l.cfg.Tolerance))
	}
}
