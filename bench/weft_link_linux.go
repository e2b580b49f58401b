package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/config"
)

// apply gives the configuration as the variant has it.
func (v variant) apply(cfg config.Config) config.Config {
	if v.loops > 0 {
		cfg.Loops = v.loops
	}
	cfg.Unreported = v.unreported
	return cfg
}

// weftLink makes a member of the mesh whose state is in stateDir, with files in dir, and tells how
// it speaks to the link at addr: as the proxy of a caller does.
func weftLink(c benchCase, addr, dir, stateDir string) (linkConfig, error) {
	cfg := linkConfig{Addr: addr, ALPN: identity.LinkALPN, Cert: filepath.Join(dir, "link.crt"), Key: filepath.Join(dir, "link.key"), CA: filepath.Join(dir, "link-ca.crt"),
		Fields: [][2]string{{"weft-to", fmt.Sprintf("127.0.0.1:%d", c.port())}}}
	authority, created, err := ca.Open(readOnly(stateDir), "", time.Now)
	if err != nil {
		return cfg, err
	}
	if created {
		return cfg, fmt.Errorf("there is no authority in %s", stateDir)
	}
	key, err := identity.NewKey()
	if err != nil {
		return cfg, err
	}
	issued, err := authority.Sign(identity.ID{TrustDomain: authority.TrustDomain(), Namespace: meshNamespace, ServiceAccount: "links"}, key.Public())
	if err != nil {
		return cfg, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return cfg, err
	}
	var chain []byte
	for _, der := range issued.Chain {
		chain = slices.Concat(chain, rig.PEM("CERTIFICATE", der))
	}
	for file, data := range map[string][]byte{
		cfg.Cert: chain, cfg.Key: rig.PEM("PRIVATE KEY", keyDER), cfg.CA: rig.PEM("CERTIFICATE", authority.Root().Raw),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// readOnly is the state directory of a control plane that runs: it may be read beside its owner,
// and not written.
type readOnly string

// Read implements ca.Storage.
func (d readOnly) Read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(d), filepath.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Write implements ca.Storage, and refuses.
func (d readOnly) Write(name string, _ []byte) error {
	return &fs.PathError{Op: "write", Path: filepath.Join(string(d), name), Err: fs.ErrPermission}
}

// Path implements ca.Storage.
func (d readOnly) Path() string { return string(d) }
