package join

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/proxy/capture"
	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/dns"
)

// fakeProxy does what join expects of a proxy, and tells on each connection what it was for.
// A file named "fail" beside its state directory makes it refuse to start, "silent" makes it never
// become ready, "die" makes it end before that.
func fakeProxy() error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	cfg, err := config.Read(os.Stdin)
	if err != nil {
		return err
	}
	w := &cfg.Workloads[0]
	ready := config.ReadyWorkload{Name: w.Name, Namespace: w.Namespace}
	all := config.Ready{PID: os.Getpid()}
	out := os.NewFile(uintptr(cfg.ReadyFD), "ready")
	wish := func(name string) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(cfg.StateDir), name))
		return err == nil
	}
	switch {
	case wish("fail"):
		_ = json.NewEncoder(out).Encode(config.Ready{Error: "there is no control plane"})
		return nil
	case wish("silent"):
		<-term
		return nil
	case wish("die"):
		return errors.New("\x1b[31mno \"luck\" today")
	}
	listen := func(addr string, serve func(net.Conn)) string {
		l, e := net.Listen("tcp", addr)
		if e != nil {
			err = errors.Join(err, e)
			return ""
		}
		go accept(l, serve)
		return l.Addr().String()
	}
	ready.Link = listen(w.Link, func(c net.Conn) { relay(c, *w) })
	if w.Outbound.Proxy != "" {
		ready.Proxy = listen(w.Outbound.Proxy, func(c net.Conn) { answerHTTP(c) })
	}
	if cfg.Metrics != "" {
		all.Metrics = listen(cfg.Metrics, answerHTTP)
	}
	for _, s := range w.Outbound.Services {
		text := fmt.Sprintf("service %s/%s:%d by %d\n", s.Namespace, s.Service, s.Port, os.Getpid())
		s.Listen = listen(s.Listen, func(c net.Conn) { _, _ = io.WriteString(c, text) })
		ready.Services = append(ready.Services, s)
	}
	for i, fd := range w.Outbound.TransparentFDs {
		l, e := net.FileListener(os.NewFile(uintptr(fd), "transparent"))
		if e != nil {
			return e
		}
		go accept(l, func(c net.Conn) { tellDestination(c, i == 1) })
	}
	for _, fd := range w.Outbound.DNSFDs {
		conn, e := net.FilePacketConn(os.NewFile(uintptr(fd), "dns"))
		if e != nil {
			return e
		}
		s := &dns.Server{Conn: conn, Namespace: w.Namespace, Names: onlyCart{}, Table: table}
		go func() { _ = s.Serve(context.Background()) }()
	}
	if w.IdentityFD > 0 {
		b, _ := io.ReadAll(os.NewFile(uintptr(w.IdentityFD), "identity"))
		fmt.Fprintf(os.Stderr, "identity of %d bytes\n", len(b))
	}
	if err != nil {
		_ = json.NewEncoder(out).Encode(config.Ready{Error: err.Error()})
		return err
	}
	_ = os.WriteFile(filepath.Join(filepath.Dir(cfg.StateDir), "proxy.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	all.Workloads = []config.ReadyWorkload{ready}
	_ = json.NewEncoder(out).Encode(all)
	_ = out.Close()
	<-term
	if wish("stubborn") {
		select {}
	}
	return os.WriteFile(filepath.Join(filepath.Dir(cfg.StateDir), "drained"), nil, 0o600)
}

var table = dns.NewTable(0)

type onlyCart struct{}

func (onlyCart) Exists(_ context.Context, namespace, name string) bool {
	return namespace == "shop" && name == "cart"
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { serve(c); _ = c.Close() }()
	}
}

// relay brings a connection to the application, as from a peer.
func relay(c net.Conn, w config.Workload) {
	if len(w.Ports) == 0 {
		return
	}
	app, err := net.DialTimeout("tcp", w.Ports[0].Addr.String(), 2*time.Second)
	if err != nil {
		_, _ = fmt.Fprintln(c, "error:", err)
		return
	}
	_, _ = io.Copy(c, app)
	_ = app.Close()
}

func answerHTTP(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	text := r.Method + " " + r.URL.String()
	_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}

// tellDestination answers an HTTP request with where it was meant to go.
func tellDestination(c net.Conn, v6 bool) {
	raw, _ := c.(*net.TCPConn).SyscallConn()
	var dst netip.AddrPort
	var err error
	_ = raw.Control(func(fd uintptr) { dst, err = capture.OriginalDst(int(fd), v6) })
	text := fmt.Sprintf("to %v", dst)
	if err != nil {
		text = err.Error()
	}
	if n, ok := table.Lookup(time.Now(), dst.Addr()); ok {
		text = fmt.Sprintf("to %s/%s port %d", n.Namespace, n.Name, dst.Port())
	}
	if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	}
}

// play is the application, or weft run.
func play(role string, args []string) error {
	switch role {
	case "env":
		for _, kv := range os.Environ() {
			fmt.Println(kv)
		}
		return nil
	case "exit":
		n, _ := strconv.Atoi(args[0])
		os.Exit(n)
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "suicide":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "wait": // tells its pid, then each signal; ends at TERM and INT
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
		fmt.Println("pid", os.Getpid())
		for s := range c {
			fmt.Println("got", s)
			if s == syscall.SIGTERM {
				os.Exit(7)
			}
			if s == syscall.SIGINT {
				signal.Reset(syscall.SIGINT)
				_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
				select {}
			}
		}
	case "count": // exits with 40 and the number of interrupts, after a line was typed
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGINT)
		fmt.Println("counting")
		n := 0
		typed := make(chan struct{})
		go func() { _, _ = bufio.NewReader(os.Stdin).ReadString('\n'); close(typed) }()
		for {
			select {
			case <-c:
				n++
				fmt.Println("got interrupt")
			case <-typed:
				time.Sleep(50 * time.Millisecond) // a second one, if it is sent, is under way by now
				os.Exit(40 + n + len(c))
			}
		}
	case "deaf": // ignores TERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("pid", os.Getpid())
		time.Sleep(time.Hour) // select {} would be found to be a deadlock
	case "get": // fetches each URL, prints the answers
		for _, u := range args {
			parsed, err := url.Parse(u)
			if err != nil {
				return err
			}
			r, err := http.Get(parsed.String())
			if err != nil {
				fmt.Println("error:", err)
				continue
			}
			b, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			fmt.Println(string(b))
		}
		return nil
	case "serve": // serves on 127.0.0.1 until a line comes in
		l, err := net.Listen("tcp", args[0])
		if err != nil {
			return err
		}
		go accept(l, func(c net.Conn) { _, _ = io.WriteString(c, "the app\n") })
		fmt.Println("serving")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		return nil
	case "run": // weft run: a JSON object of options, then the command
		var o Options
		if err := json.NewDecoder(strings.NewReader(args[0])).Decode(&o); err != nil {
			return err
		}
		o.Command, o.Stdin, o.Stdout, o.Stderr = args[1:], os.Stdin, os.Stdout, os.Stderr
		code, err := Run(context.Background(), o)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	return fmt.Errorf("unknown role %q", role)
}
