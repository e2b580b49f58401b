package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/proxy/override"
)

// maxRouteTokenLife is the longest life of a route token: whoever has one can use it.
const maxRouteTokenLife = 30 * 24 * time.Hour

// RouteKey is what `weft route-token key` tells.
type RouteKey struct {
	File      string `json:"file"`
	PublicKey string `json:"publicKey"` // Ed25519, 32 bytes in base64
	Made      bool   `json:"made"`      // false: the file was there
}

// RouteToken is what `weft route-token sign` makes.
type RouteToken struct {
	Token       string            `json:"token"`
	TrustDomain string            `json:"trustDomain"`
	Expires     time.Time         `json:"expires"`
	Routes      map[string]string `json:"routes"` // "shop/cart": "shop/cart-v2"
}

func (a *app) routeTokenVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "route-token",
		Short: "Make tokens that lead requests to versions under test",
		Long: `A request with a route token is served by other services than the routes say: staging within
production. A service takes tokens only if its TrafficPolicy names the public key of whoever may
sign them. See docs/change.md.`,
		Example: "  weft route-token key route.key\n  weft route-token sign --key route.key -n shop cart=cart-v2",
		Args:    exactly(0, "a verb: key or sign"),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with route tokens", "weft route-token key FILE", "weft route-token --help")
		},
	}
	cmd.AddCommand(a.routeTokenKeyVerb(), a.routeTokenSignVerb())
	return exits(cmd, ExitOK, ExitUsage)
}

func (a *app) routeTokenKeyVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key FILE",
		Short: "Make the private key that signs route tokens",
		Long: `Writes a new private key to FILE (PEM, mode 0600) and shows its public key, for override.publicKey
of a TrafficPolicy. If FILE is there it is left as it is, and its public key is shown.`,
		Example: "  weft route-token key route.key\n  weft route-token key route.key -o json",
		Args:    exactly(1, "the file of the private key"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			made, err := makeKey(args[0])
			if err != nil {
				return err
			}
			key, err := readKey(args[0])
			if err != nil {
				return err
			}
			public := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
			k := RouteKey{File: args[0], PublicKey: public, Made: made}
			return a.show(f, render.Doc{Kind: "RouteKey", Body: k, Names: []string{"routekey/" + public}, Table: func(t *render.Table, _ bool) {
				t.Line(public)
			}})
		},
	}
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage)
}

func (a *app) routeTokenSignVerb() *cobra.Command {
	var file, namespace, domain string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "sign FROM=TO...",
		Short: "Sign a route token",
		Long: `Prints a token with which requests for service FROM are served by service TO, for each pair. Send it
in the header field weft-route, or as member weft.route of baggage. Whoever has it can use it until
--ttl is over. TO is in the namespace of FROM, or in that of the workload that asks; a TO may not be
a FROM of the same token.`,
		Example: "  weft route-token sign --key route.key -n shop cart=cart-v2\n  weft route-token sign --key route.key --ttl 15m shop/cart=shop/cart-v2 shop/stock=shop/stock-v2",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > override.MaxPairs {
				return usage(fmt.Sprintf("wanted 1 to %d pairs of services, FROM=TO", override.MaxPairs), "weft route-token sign --key route.key cart=cart-v2")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			if file == "" {
				return usage("say which key signs, with --key FILE", "weft route-token key route.key")
			}
			if ttl < time.Second || ttl > maxRouteTokenLife {
				return usage(fmt.Sprintf("--ttl %s is outside of 1s to %s", ttl, maxRouteTokenLife), "weft route-token sign --ttl 15m --key route.key cart=cart-v2")
			}
			expires := a.env.Now().Add(ttl).Truncate(time.Second)
			t := override.Token{TrustDomain: domain, Expires: expires.Unix()}
			out := RouteToken{TrustDomain: domain, Expires: expires.UTC(), Routes: map[string]string{}}
			for _, arg := range args {
				p, err := parsePair(arg, namespace)
				if err != nil {
					return err
				}
				t.Pairs = append(t.Pairs, p)
				out.Routes[p.From.String()] = p.To.String()
			}
			if err := t.Validate(); err != nil {
				return usage("no such token can be made: "+err.Error(), "weft route-token sign --help")
			}
			key, err := readKey(file)
			if err != nil {
				return err
			}
			if out.Token, err = t.Sign(key); err != nil {
				return usage("no such token can be made: "+err.Error(), "weft route-token sign --help")
			}
			return a.show(f, render.Doc{Kind: "RouteToken", Body: out, Names: []string{"routetoken/" + out.Token}, Table: func(t *render.Table, _ bool) {
				t.Line(out.Token)
			}})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "key", "", "file of the private key, as weft route-token key makes it")
	fl.StringVarP(&namespace, "namespace", "n", "default", "namespace of services that are named without one")
	fl.StringVar(&domain, "trust-domain", defaultTrustDomain, "trust domain of the mesh that the token is for")
	fl.DurationVar(&ttl, "ttl", time.Hour, "how long the token can be used, up to 720h")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage)
}

// defaultTrustDomain is that of `weft up`.
const defaultTrustDomain = "weft.local"

// parsePair reads FROM=TO, each NAME or NAMESPACE/NAME.
func parsePair(s, namespace string) (p override.Pair, err error) {
	from, to, ok := strings.Cut(s, "=")
	if ok {
		if !strings.Contains(from, "/") {
			from = namespace + "/" + from
		}
		if !strings.Contains(to, "/") {
			to = namespace + "/" + to
		}
		if p.From, ok = override.ParseName(from); ok {
			p.To, ok = override.ParseName(to)
		}
	}
	if !ok {
		return p, usage(fmt.Sprintf("%q is not FROM=TO, two services", render.Clean(s)), "weft route-token sign --key route.key -n shop cart=cart-v2")
	}
	return p, nil
}

// makeKey writes a new private key unless the file is there.
func makeKey(file string) (made bool, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return false, keyTrouble(file, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return false, keyTrouble(file, err)
	}
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, keyTrouble(file, err)
	}
	_, err = w.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, w.Close()); err != nil {
		return false, keyTrouble(file, errors.Join(err, os.Remove(file)))
	}
	return true, nil
}

// readKey reads a private key. One that others can read is refused: they could sign too.
func readKey(file string) (ed25519.PrivateKey, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, keyTrouble(file, err)
	}
	defer r.Close() //nolint:errcheck // only read
	info, err := r.Stat()
	switch {
	case err != nil:
		return nil, keyTrouble(file, err)
	case !info.Mode().IsRegular() || info.Size() > 16<<10:
		return nil, keyTrouble(file, errors.New("it is not the file of a key"))
	case info.Mode().Perm()&0o077 != 0:
		e := keyTrouble(file, fmt.Errorf("its mode is %#o, so others can read the key", info.Mode().Perm()))
		e.Next = append([]string{"chmod 600 " + file}, e.Next...)
		return nil, e
	}
	b := make([]byte, info.Size())
	if _, err := r.ReadAt(b, 0); err != nil && info.Size() > 0 {
		return nil, keyTrouble(file, err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, keyTrouble(file, errors.New("it holds no PEM block PRIVATE KEY"))
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, keyTrouble(file, err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, keyTrouble(file, errors.New("it is not an Ed25519 key"))
	}
	return key, nil
}

// keyTrouble is the error about a key file.
func keyTrouble(file string, err error) *codes.Error {
	e := codes.New("W3336", "the key of route tokens cannot be used")
	e.Why, e.Where, e.Err = err.Error(), file, err
	e.Next = []string{"weft route-token key FILE"}
	return e
}
