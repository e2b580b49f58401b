//go:build linux

package interop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// With these in the environment this test program is a stand-in, for which side, for which program,
// and where it asks.
const (
	standInSide      = "WEFT_INTEROP_SIDE"
	standInReference = "WEFT_INTEROP_REFERENCE"
	standInAsk       = "WEFT_INTEROP_ASK"
)

func init() {
	if os.Getenv(standInSide) == "" {
		return
	}
	if err := connectStandIn(os.Getenv(standInSide)); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// connectStandIn stands between the suite and a reference implementation, which talk in protobuf
// messages with four bytes of length before each (connectrpc/conformance, docs/testing_clients.md
// and testing_servers.md). It changes nothing but the address of the server, to that of a mesh
// before it: in what a server says of itself, or in what a client is told to do.
func connectStandIn(side string) error {
	cmd := exec.Command(os.Getenv(standInReference))
	cmd.Stderr = os.Stderr
	// The suite ends a server with SIGTERM; it must not outlive us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	talk := standForServer
	if side == "client" {
		talk = standForClient
	}
	if err := talk(cmd, signals); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return nil
}

// Fields that are read or changed. ServerCompatRequest has 1 protocol, 2 http_version;
// ServerCompatResponse 1 host, 2 port; ClientCompatRequest 6 host, 7 port.
const (
	requestProtocol, requestVersion = 1, 2
	serverHost, serverPort          = 1, 2
	clientHost, clientPort          = 6, 7
	protocolGRPC, versionHTTP2      = 2, 2 // values of the enumerations
)

// standForServer starts the server as it is asked to, and answers with the mesh's address.
func standForServer(cmd *exec.Cmd, signals <-chan os.Signal) error {
	request, err := readFrame(os.Stdin)
	if err != nil {
		return err
	}
	_, numbers, err := readFields(request)
	if err != nil {
		return err
	}
	protocol := "http"
	if numbers[requestVersion] == versionHTTP2 {
		protocol = "http2"
	}
	if numbers[requestProtocol] == protocolGRPC {
		protocol = "grpc"
	}
	in, out, err := startBetween(cmd)
	if err != nil {
		return err
	}
	go func() { // ends with this program
		<-signals
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}()
	if err := errors.Join(writeFrame(in, request), in.Close()); err != nil {
		return err
	}
	response, err := readFrame(out)
	if err != nil {
		return err
	}
	if response, err = throughMesh(response, serverHost, serverPort, protocol, map[string]netip.AddrPort{}); err != nil {
		return err
	}
	return writeFrame(os.Stdout, response)
}

// standForClient passes on what the client is told to do, with servers' addresses replaced, and
// what it answers as it is.
func standForClient(cmd *exec.Cmd, signals <-chan os.Signal) error {
	cmd.Stdout = os.Stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with this program
		<-signals
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}()
	known := map[string]netip.AddrPort{}
	from := bufio.NewReader(os.Stdin)
	for {
		request, err := readFrame(from)
		if errors.Is(err, io.EOF) {
			return in.Close()
		}
		if err != nil {
			return err
		}
		if request, err = throughMesh(request, clientHost, clientPort, "", known); err != nil {
			return err
		}
		if err := writeFrame(in, request); err != nil {
			return err
		}
	}
}

// startBetween starts a program with both its ends in our hands.
func startBetween(cmd *exec.Cmd) (io.WriteCloser, io.Reader, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return in, out, cmd.Start()
}

// throughMesh replaces a message's host and port by those of the mesh before them. Meshes are
// kept in known, by server.
func throughMesh(message []byte, host, port protowire.Number, protocol string, known map[string]netip.AddrPort) ([]byte, error) {
	texts, numbers, err := readFields(message)
	if err != nil {
		return nil, err
	}
	backend := net.JoinHostPort(texts[host], fmt.Sprint(numbers[port]))
	at, found := known[backend]
	if !found {
		if at, err = askForMesh(backend, protocol); err != nil {
			return nil, err
		}
		known[backend] = at
	}
	// What comes last counts, where a field is not repeated.
	message = protowire.AppendTag(message, host, protowire.BytesType)
	message = protowire.AppendString(message, at.Addr().String())
	message = protowire.AppendTag(message, port, protowire.VarintType)
	return protowire.AppendVarint(message, uint64(at.Port())), nil
}

// askForMesh asks the test for a mesh before a backend.
func askForMesh(backend, protocol string) (at netip.AddrPort, err error) {
	c, err := net.Dial("unix", os.Getenv(standInAsk))
	if err != nil {
		return at, err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, backend, protocol); err != nil {
		return at, err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return at, fmt.Errorf("no mesh before %s: %w", backend, err)
	}
	return netip.ParseAddrPort(strings.TrimSuffix(line, "\n"))
}

// readFields gives a message's fields of text and of whole numbers, by number.
func readFields(b []byte) (texts map[protowire.Number]string, numbers map[protowire.Number]uint64, err error) {
	texts, numbers = map[protowire.Number]string{}, map[protowire.Number]uint64{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < 0 {
			return nil, nil, protowire.ParseError(size)
		}
		switch kind {
		case protowire.BytesType:
			v, _ := protowire.ConsumeString(b[n:])
			texts[number] = v
		case protowire.VarintType:
			numbers[number], _ = protowire.ConsumeVarint(b[n:])
		}
		b = b[n+size:]
	}
	return texts, numbers, nil
}

// maxFrame bounds one message between the suite and a reference implementation, in bytes.
const maxFrame = 64 << 20

// readFrame reads one message with its length before it. The error at the end is io.EOF.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes, want at most %d", n, maxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("in a message of %d bytes: %w", n, err)
	}
	return b, nil
}

// writeFrame writes one message with its length before it.
func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}
