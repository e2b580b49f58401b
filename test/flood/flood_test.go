//go:build linux

package flood

import (
	"testing"
	"time"
)

// attack is one way to do harm.
type attack struct {
	name     string
	run      func(*attacker)
	outbound bool // an application attacks its own proxy
	link     bool // a peer, or a stranger, attacks the callee's
	hungry   bool // no attack but a client that takes what it gets: a whole core if there is one
}

// attacks is all of them. A new one is a line here and a function.
var attacks = []attack{
	{name: "rapid reset", run: rapidReset, outbound: true, link: true},
	{name: "MadeYouReset", run: madeYouReset, outbound: true, link: true},
	{name: "CONTINUATION flood", run: continuationFlood, outbound: true, link: true},
	{name: "HPACK bomb", run: hpackBomb, outbound: true, link: true},
	{name: "PING flood", run: pingFlood, outbound: true, link: true},
	{name: "SETTINGS flood", run: settingsFlood, outbound: true, link: true},
	{name: "PRIORITY flood", run: priorityFlood, outbound: true, link: true},
	{name: "empty DATA flood", run: emptyFlood, outbound: true, link: true},
	{name: "zero windows", run: zeroWindow, outbound: true, link: true},
	{name: "windows by the octet", run: windowDribble, outbound: true, link: true},
	{name: "windows that flap", run: windowFlapping, outbound: true, link: true},
	{name: "preface by the octet", run: prefaceDribble, outbound: true, link: true},
	{name: "slow heads", run: slowHeads, outbound: true},
	{name: "slow bodies", run: slowBodies, outbound: true},
	{name: "slow readers", run: slowReaders, outbound: true},
	{name: "connections made and closed", run: churn, outbound: true, link: true},
	{name: "idle connections", run: idle, outbound: true},
	{name: "handshakes never finished", run: unfinishedHandshakes, link: true},
	{name: "handshakes half done", run: halfHandshakes, link: true},
	{name: "handshakes of strangers", run: strangersHandshakes, link: true},
	{name: "a greedy upload", run: greedyUpload, outbound: true, hungry: true},
	{name: "idle after a request", run: idleAfterRequest}, // these two are for TestIdleConnectionsCostLittle
	{name: "idle links", run: idleLinks},
}

// What is asserted.
const (
	maxRatio  = 2.0              // honest p99 during the attack, to that before
	maxAfter  = 1.2              // the same, after it
	maxAdded  = time.Millisecond // to p99, by a client that is merely hungry
	maxGrowth = 64 << 20         // bytes of resident memory, of each proxy
	recoverIn = time.Second      // after the attack
	share     = 0.5              // of one core, for an attacker

	noise = 2 * time.Millisecond // see the package's comment
	busy  = 8 * time.Millisecond // p99 of the control client above which the machine is too busy to judge times on
	tries = 7                    // of a window that is late, each longer: the onset of 800 connections lasts some 100 ms
)

// lengths of the windows. In begin, which is short or 0, the times of honest requests are not looked at.
type lengths struct{ quiet, begin, attack, after time.Duration }

func windows() lengths {
	if full {
		return lengths{5 * time.Second, 0, 10 * time.Second, 3 * time.Second}
	}
	return lengths{250 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 200 * time.Millisecond}
}

// TestHonestTrafficBesideAnAttack holds the bounds of the package's comment, attack by attack.
func TestHonestTrafficBesideAnAttack(t *testing.T) {
	s := newStage(t)
	var all []row
	for i := range attacks {
		for _, link := range []bool{false, true} {
			at := &attacks[i]
			if link && !at.link || !link && !at.outbound {
				continue
			}
			where := "outbound"
			if link {
				where = "link"
			}
			t.Run(at.name+" on the "+where+" listener", func(t *testing.T) {
				for try := 1; ; try++ {
					if full {
						s.rest(windows().quiet)
					}
					o := s.endure(t, at, link, time.Duration(try)*windows().attack)
					o.judge(t)
					late := o.late(at)
					t.Log(o.String())
					if late != "" && !full && try < tries && !t.Failed() {
						t.Log("once more: " + late)
						continue
					}
					if late != "" {
						t.Error(late)
					}
					all = append(all, row{at.name, where, o})
					return
				}
			})
		}
	}
	if full {
		t.Log("\n" + table(all))
	}
}
