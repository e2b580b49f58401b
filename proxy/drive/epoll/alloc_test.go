//go:build linux

package epoll

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"github.com/weft-mesh/weft/test/allocs"
)

func TestSealingAndOpeningRecordsAllocatesNothing(t *testing.T) {
	for _, s := range recordSizes {
		t.Run(s.name, func(t *testing.T) { allocs.None(t, 1000, sealAndOpen(t, s.bytes)) })
	}
}

func TestWaitingForEventsAllocatesNothing(t *testing.T) {
	sec := stranger{}
	opt := &drive.Options{Mesh: sec, Security: sec, Log: slog.New(slog.DiscardHandler)}
	opt.Core.Shard = telemetry.NewRegistry(1).Shard(0)
	l, err := newLoop(opt, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer l.free()
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	if _, err := unix.Write(l.wakefd, one); err != nil {
		t.Fatal(err)
	}
	allocs.None(t, 1000, func() {
		if n, err := l.wait(); n != 1 || err != nil {
			t.Fatalf("%d events, %v", n, err)
		}
	})
}

func TestCarryingForAJoinedTunnelAllocatesNothing(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	client, server := x.couple()
	defer client.Close()
	defer server.Close()
	piece := make([]byte, 65)
	allocs.None(t, 500, func() {
		for _, c := range [][2]*net.TCPConn{{client, server}, {server, client}} {
			if _, err := c[0].Write(piece); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c[1], piece); err != nil {
				t.Fatal(err)
			}
		}
	})
}
