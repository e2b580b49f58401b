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
	mu      sync.Mutex // guards all; taken by the reports goroutine only, and by tests
	pending map[report.Key]*report.Counts
	flight  *pb.ReportBatch // sent or to be sent again, and not answered
	seq     uint64
	dropped uint64 // series for which there was no room
}

func (o *outbox) init() { o.pending = make(map[report.Key]*report.Counts) }

// add takes one series in.
func (o *outbox) add(s report.Series) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.pending[s.Key]; c != nil {
		c.Add(&s.Counts)
		return
	}
	if len(o.pending) >= maxPending {
		o.dropped++
		return
	}
	var c report.Counts
	c.Add(&s.Counts) // a copy: the buckets belong to the reporter
	o.pending[s.Key] = &c
}

// next gives the batch that is to be sent: the unanswered one, or a new one, or nil.
func (o *outbox) next(proxy, instance string) *pb.ReportBatch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil || len(o.pending) == 0 {
		return o.flight
	}
	o.seq++
	b := &pb.ReportBatch{Proxy: proxy, Instance: instance, Sequence: o.seq}
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

// runReports collects and sends until ctx ends.
func (a *Agent) runReports(ctx context.Context, conn *grpc.ClientConn) {
	if a.opt.Reporter == nil {
		return
	}
	tick := time.NewTicker(a.opt.ReportEvery)
	defer tick.Stop()
	told := uint64(0)
	collect := func() {
		a.opt.Reporter.Collect(a.reports.add)
		a.reports.mu.Lock()
		dropped := a.reports.dropped
		a.reports.mu.Unlock()
		if dropped > told && told == 0 {
			e := codes.New("W2206", "telemetry was dropped")
			e.Why = "more than 4096 series wait to be sent"
			a.log.Warn("reports", "err", e)
		}
		told = dropped
	}
	for n := 0; ctx.Err() == nil; n++ {
		worked := a.reportOnce(ctx, conn, tick.C, collect)
		if worked {
			n = 0
		}
		sleep(ctx, pause(n, a.opt.Rand()))
	}
}

// reportOnce runs one stream. Deltas go on being gathered when there is none: the counters
// behind the reporter stay where they are until the next Collect.
func (a *Agent) reportOnce(ctx context.Context, conn *grpc.ClientConn, tick <-chan time.Time, collect func()) (worked bool) {
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewReportClient(conn).Stream(sctx)
	if err != nil || !stop() {
		return false
	}
	acks := make(chan uint64)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- reportAcks(sctx, stream, acks) })
	defer func() { cancel(); wg.Wait() }()

	inFlight := false
	flush := func() bool {
		if inFlight {
			return true
		}
		b := a.reports.next(a.opt.Name, a.instance)
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
			a.reports.answered(seq)
			inFlight, worked = false, true
			if a.reports.full() && !flush() {
				return worked
			}
		case <-tick:
			collect()
			if !flush() {
				return worked
			}
		case <-ctx.Done():
			a.lastReport(stream, collect, flush, &inFlight, acks, ended)
			return worked
		}
	}
}

// full reports whether more than one batch waits, so that the next need not wait for the tick.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending) > maxBatch
}

// lastReport sends what is left at the end, within leaveTimeout.
func (a *Agent) lastReport(stream grpc.BidiStreamingClient[pb.ReportBatch, pb.ReportAck], collect func(), flush func() bool, inFlight *bool, acks <-chan uint64, ended <-chan error) {
	collect()
	t := time.NewTimer(leaveTimeout)
	defer t.Stop()
	for flush() && *inFlight {
		select {
		case seq := <-acks:
			a.reports.answered(seq)
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
