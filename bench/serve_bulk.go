package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The backend for large bodies. Over HTTP: GET /zeros/N gives N bytes, POST /sink takes a body and
// answers with its length, /small is what the other backend gives. Over TCP: the client sends a
// command of 9 bytes ('d' or 'u', length in big endian); "down" is answered with so many bytes,
// "up" is followed by so many, and answered with the number of those that came in 8 bytes.

// bulkChunk is what is read or written at a time.
const bulkChunk = 256 << 10

var zeros [bulkChunk]byte

// serveBulk serves HTTP/1.1, HTTP/2 with prior knowledge, and TCP on these addresses until ctx ends.
func serveBulk(ctx context.Context, h1, h2, tcp string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /zeros/{n}", giveZeros)
	mux.HandleFunc("POST /sink", takeBody)
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, smallBody) })
	ln, err := net.Listen("tcp", tcp)
	if err != nil {
		return err
	}
	ends := []io.Closer{ln}
	failed := make(chan error, 3) // one for each server
	var wg sync.WaitGroup
	wg.Go(func() { failed <- serveBulkTCP(ctx, ln) })
	for _, x := range []struct {
		addr string
		h2   bool
	}{{h1, false}, {h2, true}} {
		p := new(http.Protocols)
		p.SetHTTP1(!x.h2)
		p.SetUnencryptedHTTP2(x.h2)
		s := &http.Server{Addr: x.addr, Handler: mux, Protocols: p, ReadHeaderTimeout: time.Minute}
		ends = append(ends, s)
		wg.Go(func() { failed <- s.ListenAndServe() })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel() // connections of TCP end with it
	for _, e := range ends {
		_ = e.Close()
	}
	wg.Wait()
	return err
}

func giveZeros(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "a number, please", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_ = writeZeros(w, n) // the client went away
}

func takeBody(w http.ResponseWriter, r *http.Request) {
	n, err := drain(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprint(w, n)
}

// drain reads to the end and gives how much there was.
func drain(r io.Reader) (n int64, err error) {
	buf := make([]byte, bulkChunk)
	for {
		m, err := r.Read(buf)
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func writeZeros(w io.Writer, n int64) error {
	for n > 0 {
		m, err := w.Write(zeros[:min(n, bulkChunk)])
		n -= int64(m)
		if err != nil {
			return err
		}
	}
	return nil
}

func serveBulkTCP(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			defer func() { _ = c.Close() }()
			_ = answerBulkTCP(c) // the client went away
		})
	}
}

// answerBulkTCP carries out one command.
func answerBulkTCP(c net.Conn) error {
	var command [9]byte
	if _, err := io.ReadFull(c, command[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint64(command[1:]) &^ (1 << 63))
	if command[0] == 'd' {
		return writeZeros(c, n)
	}
	got, err := drain(io.LimitReader(c, n))
	if err != nil {
		return err
	}
	_, err = c.Write(binary.BigEndian.AppendUint64(nil, uint64(got)))
	return err
}

// moveTCP is the other end of answerBulkTCP: it moves n bytes and checks that all arrived.
func moveTCP(c net.Conn, up bool, n int64) error {
	command := byte('d')
	if up {
		command = 'u'
	}
	if _, err := c.Write(binary.BigEndian.AppendUint64([]byte{command}, uint64(n))); err != nil {
		return err
	}
	var got int64
	if up {
		if err := writeZeros(c, n); err != nil {
			return err
		}
		var answer [8]byte
		if _, err := io.ReadFull(c, answer[:]); err != nil {
			return fmt.Errorf("no word of how much arrived: %w", err)
		}
		got = int64(binary.BigEndian.Uint64(answer[:]))
	} else {
		var err error
		if got, err = drain(io.LimitReader(c, n)); err != nil {
			return err
		}
	}
	if got != n {
		return fmt.Errorf("%w: %d of %d bytes arrived", errShort, got, n)
	}
	return nil
}
