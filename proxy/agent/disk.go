package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
)

// The file is one line, "weft-view 1 SHA256\n", and a SavedView. It holds nothing secret, but
// who may write it may redirect traffic while the control plane is away, so it is 0600.
const (
	diskMagic = "weft-view 1 "
	// Between two writes passes diskRest times what the last one took, within bounds: a killed
	// proxy shall find the destination that it was told a moment ago, and a large view that
	// changes all the time shall not keep the disk busy.
	diskRest  = 4
	leastRest = 50 * time.Millisecond
	mostRest  = time.Second

	maxDisk = 256 << 20
)

// disk keeps the last good view. put never waits for the disk; only the newest view is written.
// The zero path keeps nothing.
type disk struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex // guards next
	next *pb.SavedView
	wake chan struct{} // has room for one
}

func newDisk(dir, proxy string, log *slog.Logger) *disk {
	d := &disk{log: log, wake: make(chan struct{}, 1)}
	if dir != "" {
		// The name is hashed since it may hold any character, and two must not share a file.
		h := sha256.Sum256([]byte(proxy))
		d.path = filepath.Join(dir, "view-"+hex.EncodeToString(h[:8])+".bin")
	}
	return d
}

// put hands over a view to be written.
func (d *disk) put(v *pb.SavedView) {
	if d.path == "" {
		return
	}
	d.mu.Lock()
	d.next = v
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run writes views until ctx ends, then the last one.
func (d *disk) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			d.flush()
			return
		case <-d.wake:
			began := time.Now()
			d.flush()
			sleep(ctx, min(max(diskRest*time.Since(began), leastRest), mostRest))
		}
	}
}

func (d *disk) flush() {
	d.mu.Lock()
	v := d.next
	d.next = nil
	d.mu.Unlock()
	if v == nil {
		return
	}
	if err := d.write(v); err != nil {
		e := codes.New("W2007", "the last good view could not be written")
		e.Why, e.Where, e.Err = err.Error(), d.path, err
		d.log.Warn("last good view not kept", "err", e)
	}
}

// write replaces the file as a whole: a crash at any point leaves the old or the new one.
func (d *disk) write(v *pb.SavedView) error {
	body, err := proto.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	f, err := os.CreateTemp(filepath.Dir(d.path), ".view-*") // 0600
	if err != nil {
		return err
	}
	tmp := f.Name()
	_, err = f.Write(append([]byte(diskMagic+hex.EncodeToString(sum[:])+"\n"), body...))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, d.path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

// read gives the view on disk; nil without an error if there is none. Errors are coded W2204.
func (d *disk) read() (*pb.SavedView, error) {
	if d.path == "" {
		return nil, nil
	}
	fail := func(why string) error {
		e := codes.New("W2204", "the last good view on disk was not used")
		e.Why, e.Where = why, d.path
		return e
	}
	info, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(err.Error())
	}
	if info.Size() > maxDisk {
		return nil, fail(fmt.Sprintf("it has %d bytes, want at most %d", info.Size(), maxDisk))
	}
	text, err := os.ReadFile(d.path)
	if err != nil {
		return nil, fail(err.Error())
	}
	head, body, ok := bytes.Cut(text, []byte("\n"))
	want, isView := bytes.CutPrefix(head, []byte(diskMagic))
	if !ok || !isView {
		return nil, fail("it is of another format")
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != string(want) {
		return nil, fail("its checksum does not match")
	}
	v := &pb.SavedView{}
	if err := proto.Unmarshal(body, v); err != nil {
		return nil, fail(err.Error())
	}
	return v, nil
}
