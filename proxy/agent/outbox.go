package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model/wire"
)

const (
	maxPending = 4096 // series that wait while nothing can be sent
	maxBatch   = 1000 // series in one message, about 0.5 MB
)

// outbox gathers telemetry until it is sent and answered. Deltas of one series are added up while
// they wait, so that an outage costs memory by series, not by time.
type outbox struct {
	mu      sync.Mutex // guards all; a leaf
	pending map[report.Key]*report.Counts
	flight  *pb.ReportBatch // sent or to be sent again, and not answered
	seq     uint64
	dropped uint64 // series for which there was no room
	sets    outSets
}

func (o *outbox) init() { o.pending = make(map[report.Key]*report.Counts) }

// add takes one series in. It reports whether it is the first for which there was no room.
func (o *outbox) add(s report.Series) (firstDropped bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.pending[s.Key]; c != nil {
		c.Add(&s.Counts)
		return false
	}
	if len(o.pending) >= maxPending {
		o.dropped++
		return o.dropped == 1
	}
	var c report.Counts
	c.Add(&s.Counts) // a copy: the buckets belong to the reporter
	o.pending[s.Key] = &c
	return false
}

// next gives the batch that is to be sent: the unanswered one, or a new one, or nil.
func (o *outbox) next(proxy, instance string) *pb.ReportBatch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil || len(o.pending) == 0 && o.sets.waiting() == 0 {
		return o.flight
	}
	o.seq++
	b := &pb.ReportBatch{Proxy: proxy, Instance: instance, Sequence: o.seq, Sets: o.sets.next()}
	for k, c := range o.pending {
		if len(b.Series) == maxBatch {
			break
		}
		b.Series = append(b.Series, wire.Series(&report.Series{Key: k, Counts: *c}))
		delete(o.pending, k)
	}
	o.flight = b
	return b
}

// answered forgets the batch with this sequence.
func (o *outbox) answered(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil && o.flight.GetSequence() == seq {
		o.flight = nil
	}
}

// collect asks the Reporter, and gives each series to the channel that its client is known on:
// over TCP a proxy may report for the identity of the connection only.
func (a *Agent) collect() {
	a.collecting.Lock()
	defer a.collecting.Unlock()
	a.opt.Reporter.Collect(func(s report.Series) {
		to := a.channels[0]
		if len(a.channels) > 1 && s.Direction == report.Outbound {
			for _, m := range a.members {
				if m.Namespace == s.Source.Namespace && m.Name == s.Source.Name {
					to = m.channel
				}
			}
		}
		if first := to.reports.add(s); first {
			e := codes.New("W2206", "telemetry was dropped")
			e.Why = "more than 4096 series wait to be sent"
			a.log.Warn("reports", "err", e)
		}
	})
	if a.opt.Sets != nil {
		a.channels[0].reports.addSets(a.opt.Sets())
	}
}

// runReports sends what is collected until ctx ends. The first channel's asks for it; at the end
// each does, so that none leaves before the last requests were counted.
func (a *Agent) runReports(ctx context.Context, ch *channel) {
	if a.opt.Reporter == nil {
		return
	}
	tick := time.NewTicker(a.opt.ReportEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		if a.reportOnce(ctx, ch, tick.C) {
			n = 0
		}
		sleep(ctx, pause(n, a.opt.Rand()))
	}
}

// reportOnce runs one stream. Deltas go on being gathered when there is none: the counters
// behind the reporter stay where they are until the next Collect.
func (a *Agent) reportOnce(ctx context.Context, ch *channel, tick <-chan time.Time) (worked bool) {
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewReportClient(ch.conn).Stream(sctx)
	if err != nil || !stop() {
		return false
	}
	acks := make(chan uint64)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- reportAcks(sctx, stream, acks) })
	defer func() { cancel(); wg.Wait() }()

	ch.reports.anew() // what the control plane knew of us went with the last stream
	inFlight := false
	flush := func() bool {
		if inFlight {
			return true
		}
		b := ch.reports.next(a.opt.Name, a.instance)
		if b == nil {
			return true
		}
		inFlight = true
		return stream.Send(b) == nil
	}
	if !flush() {
		return false
	}
	for {
		select {
		case err := <-ended:
			a.log.Debug("report stream ended", "err", err)
			return worked
		case seq := <-acks:
			ch.reports.answered(seq)
			inFlight, worked = false, true
			if ch.reports.full() && !flush() {
				return worked
			}
		case <-tick:
			if ch == a.channels[0] {
				a.collect()
			}
			if !flush() {
				return worked
			}
		case <-ctx.Done():
			a.lastReport(ch, stream, flush, &inFlight, acks, ended)
			return worked
		}
	}
}

// full reports whether more than one batch waits, so that the next need not wait for the tick.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending) > maxBatch || o.sets.waiting() > maxBatchSets
}

// lastReport sends what is left at the end, within leaveTimeout.
func (a *Agent) lastReport(ch *channel, stream grpc.BidiStreamingClient[pb.ReportBatch, pb.ReportAck], flush func() bool, inFlight *bool, acks <-chan uint64, ended <-chan error) {
	a.collect()
	t := time.NewTimer(leaveTimeout)
	defer t.Stop()
	for flush() && *inFlight {
		select {
		case seq := <-acks:
			ch.reports.answered(seq)
			*inFlight = false
		case err := <-ended:
			a.log.Debug("report stream ended before the last report was answered", "err", err)
			return
		case <-t.C:
			return
		}
	}
	_ = stream.CloseSend()
}

func reportAcks(ctx context.Context, stream grpc.BidiStreamingClient[pb.ReportBatch, pb.ReportAck], out chan<- uint64) error {
	for {
		ack, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case out <- ack.GetSequence():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
