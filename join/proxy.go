package join

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/node"
	"github.com/weft-mesh/weft/proxy/config"
)

// maxReady bounds the line that a proxy says it is ready with: 512 listeners need about 64 KiB.
const maxReady = 1 << 20

// proxy is one running proxy process.
type proxy struct {
	cmd   *exec.Cmd
	log   *lines
	ready config.Ready  // of one workload
	done  chan struct{} // closed when the process has ended and been waited for
	err   error         // of Wait; valid after done

	words *os.File      // what it says: that it is ready, then that it left
	left  chan struct{} // closed when the mesh knows that the workload leaves, or the proxy ended
}

// launcher starts proxies, each time with the same settings.
type launcher struct {
	binary   string
	config   config.Config // but for the descriptors
	tcp, dns []*os.File    // sockets to inherit
	identity Identity      // may be nil
	thread   *node.Thread  // which the children die with
	logTo    io.Writer
	timeout  time.Duration // until it is ready
}

// start starts a proxy and waits until it is ready. On failure no process is left, and the
// error is coded. With handOver it gets the identity that we keep.
func (l *launcher) start(ctx context.Context, handOver bool) (*proxy, error) {
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return nil, notReady("no pipe: "+err.Error(), err)
	}
	p := &proxy{log: &lines{prefix: "weft-proxy: ", out: l.logTo}, done: make(chan struct{}), words: readyR, left: make(chan struct{})}
	started := false
	defer func() {
		if !started {
			_ = readyR.Close()
		}
	}()
	cfg := l.config
	files := []*os.File{readyW}
	inherit := func(f *os.File) int { files = append(files, f); return 2 + len(files) }
	cfg.ReadyFD = 3
	cfg.Workloads = slices.Clone(cfg.Workloads) // the descriptors are of this start only
	w := &cfg.Workloads[0]
	for _, f := range l.tcp {
		w.Outbound.TransparentFDs = append(w.Outbound.TransparentFDs, inherit(f))
	}
	for _, f := range l.dns {
		w.Outbound.DNSFDs = append(w.Outbound.DNSFDs, inherit(f))
	}
	finishIdentity := func() {}
	if handOver && l.identity != nil {
		var r *os.File
		if r, finishIdentity = l.pipeIdentity(); r != nil {
			w.IdentityFD = inherit(r)
			defer func() { _ = r.Close() }()
		}
	}
	text, err := json.Marshal(&cfg)
	if err != nil {
		_ = readyW.Close()
		finishIdentity()
		return nil, notReady("its configuration: "+err.Error(), err)
	}
	p.cmd = &exec.Cmd{
		Path: l.binary, Args: []string{l.binary}, Stdin: bytes.NewReader(text),
		Stdout: p.log, Stderr: p.log, ExtraFiles: files,
		SysProcAttr: attributes(true),
		WaitDelay:   time.Second, // for whoever inherited its log
	}
	err = l.thread.Do(p.cmd.Start)
	_ = readyW.Close() // the child has its own; without this the end of the pipe would never be seen
	if err != nil {
		finishIdentity()
		return nil, notReady("it could not be started: "+err.Error(), err)
	}
	go p.wait()
	said := bufio.NewReader(io.LimitReader(readyR, maxReady))
	err = p.awaitReady(ctx, said, l.timeout)
	if err != nil {
		kill(p.cmd.Process, false)
		<-p.done
	}
	finishIdentity()
	if err != nil {
		return nil, err
	}
	started = true
	go p.awaitLeft(said)
	return p, nil
}

// awaitLeft waits for the proxy's second word. It ends with the process, or by stop.
func (p *proxy) awaitLeft(said *bufio.Reader) {
	defer close(p.left)
	_, _ = said.ReadString('\n') // the end of the pipe says as much: nobody is sent to it any more
	_ = p.words.Close()
}

// pipeIdentity writes the identity into a pipe, whose reading end is given. The pipe may be
// smaller than the identity, so it is written beside; finish ends that, at the latest. Without
// an identity to hand over the file is nil.
func (l *launcher) pipeIdentity() (r *os.File, finish func()) {
	var text bytes.Buffer
	if err := l.identity.Handover(&text); err != nil {
		return nil, func() {}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, func() {}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = w.Write(text.Bytes())
		_ = w.Close()
	}()
	return r, func() {
		_ = w.SetWriteDeadline(time.Unix(1, 0))
		<-written
		clear(text.Bytes()) // the key was in it
	}
}

// wait waits for the process.
func (p *proxy) wait() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// awaitReady reads the one line that the proxy says it is ready with.
func (p *proxy) awaitReady(ctx context.Context, said *bufio.Reader, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.words.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	line, err := said.ReadBytes('\n')
	switch {
	case len(bytes.TrimSpace(line)) > 0:
		if err := json.Unmarshal(line, &p.ready); err != nil {
			return notReady("it said something that is not understood: "+err.Error(), err)
		}
		if p.ready.Error != "" {
			return notReady(p.ready.Error, nil)
		}
		if n := len(p.ready.Workloads); n != 1 {
			return notReady(fmt.Sprintf("it says that it serves %d workloads, not one", n), nil)
		}
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return notReady(fmt.Sprintf("nothing was heard in %s%s", timeout, p.lastWords()), ctx.Err())
	case ctx.Err() != nil:
		return notReady("the start was broken off", ctx.Err())
	}
	// The pipe ended without a word, so the process did or is about to. Without a timeout of
	// its own, for ctx bounds it.
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	why := "it ended"
	if p.cmd.ProcessState != nil {
		why += ": " + p.cmd.ProcessState.String()
	}
	return notReady(why+p.lastWords(), err)
}

// lastWords gives the last line of the log, as part of a sentence.
func (p *proxy) lastWords() string {
	if s := p.log.last(); s != "" {
		return "; its last line: " + s
	}
	return ""
}

func notReady(why string, cause error) error {
	e := codes.New("W4111", "the proxy did not become ready")
	e.Why, e.Err = why, cause
	e.Next = []string{"weft status", "weft up DIR"}
	return e
}

// stop ends the proxy: it is asked to drain, and killed after the timeout or when hurry fires.
func (p *proxy) stop(timeout time.Duration, hurry <-chan struct{}) {
	terminate(p.cmd.Process)
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.kill()
	case <-hurry:
		p.kill()
	}
	_ = p.words.Close()
	<-p.left
}

// obeyed reports whether the process, which has ended, did so because it was told to.
func (p *proxy) obeyed() bool {
	code := exitCode(p.cmd.ProcessState)
	return code == 0 || code == toldToEnd
}

// kill ends the process and its group, and waits.
func (p *proxy) kill() {
	kill(p.cmd.Process, true)
	<-p.done
}

// leave asks the proxy to tell the mesh that the workload takes no new requests. The channel is
// closed when the mesh knows, at once if the proxy cannot tell it.
func (p *proxy) leave() <-chan struct{} {
	if !p.ready.Leaves || !askToLeave(p.cmd.Process) {
		return closed
	}
	return p.left
}
