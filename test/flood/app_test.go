//go:build linux

package flood

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// bigBody is the length of the response to /big. A reader that stalls must not make anybody hold it.
const bigBody = 8 << 20

// serveApp is the application: small answers at /, large ones at /big; it reads what it is sent. It
// speaks HTTP/1.1 and HTTP/2 and serves until its standard input ends.
func serveApp(in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	small := make([]byte, 64)
	chunk := make([]byte, 64<<10)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(small)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		for sent := 0; sent < bigBody; sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: mux, Protocols: &p, ReadHeaderTimeout: time.Minute}
	if err := json.NewEncoder(out).Encode(ln.Addr().String()); err != nil {
		return err
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, in)
		_ = srv.Close()
	}()
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}
