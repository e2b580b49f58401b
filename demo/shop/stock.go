package shop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// serveStock speaks a line protocol over TCP in which the server speaks first:
//
//	S: 220 stock ready
//	C: RESERVE tea 2
//	S: 250 9998 left
//	C: QUIT
//	S: 221 bye
func serveStock(ctx context.Context, l net.Listener) error {
	s := &stock{left: map[string]int{}, open: map[net.Conn]bool{}}
	for _, p := range products {
		s.left[p.sku] = initialStock
	}
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.closeAll()
	})
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("stock: %w", err)
		}
		if !s.admit(ctx, c) {
			_ = c.Close()
			continue
		}
		work.Go(func() {
			defer s.forget(c)
			s.talk(c)
		})
	}
}

// initialStock of each product; it is refilled when it runs out, so that the demo never ends.
const initialStock = 10_000

// maxStockConns bounds the connections of the demo's stock.
const maxStockConns = 1024

// stock is the state of the TCP service. mu guards left and open.
type stock struct {
	mu   sync.Mutex
	left map[string]int
	open map[net.Conn]bool
}

func (s *stock) admit(ctx context.Context, c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || len(s.open) >= maxStockConns {
		return false
	}
	s.open[c] = true
	return true
}

func (s *stock) forget(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *stock) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

// talk serves one connection until QUIT, end of input, or two minutes of silence.
func (s *stock) talk(c net.Conn) {
	if _, err := io.WriteString(c, "220 stock ready\r\n"); err != nil {
		return
	}
	in := bufio.NewReaderSize(io.LimitReader(c, 1<<20), 512)
	for {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		answer, quit := s.answer(strings.TrimSpace(string(line)))
		if _, err := io.WriteString(c, answer+"\r\n"); err != nil || quit {
			return
		}
	}
}

// answer gives the reply to one line.
func (s *stock) answer(line string) (reply string, quit bool) {
	if line == "QUIT" {
		return "221 bye", true
	}
	var sku string
	var n int
	if _, err := fmt.Sscanf(line, "RESERVE %s %d", &sku, &n); err != nil || n < 1 || n > 100 {
		return "500 want RESERVE SKU 1..100, or QUIT", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have, known := s.left[sku]
	if !known {
		return "550 no such product", false
	}
	if have < n {
		have += initialStock
	}
	s.left[sku] = have - n
	return fmt.Sprintf("250 %d left", have-n), false
}

// reserve asks the stock service for n pieces, on a connection of its own.
func reserve(ctx context.Context, addr, sku string, n int) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	defer func() { _ = c.Close() }()
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(t)
	}
	in := bufio.NewReaderSize(io.LimitReader(c, 4096), 512)
	expect := func(code string) error {
		line, err := in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("stock: waiting for %s: %w", code, err)
		}
		if !strings.HasPrefix(line, code+" ") {
			return fmt.Errorf("stock: %s", strings.TrimSpace(line))
		}
		return nil
	}
	if err := expect("220"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "RESERVE %s %d\r\n", sku, n); err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	if err := expect("250"); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "QUIT\r\n"); err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	return expect("221")
}
