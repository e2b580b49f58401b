package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// PKI is what the peers without a control plane use for mTLS: one root, a leaf for each side, all
// P-256, the same kind that weft's own CA issues. Paths of PEM files; the pair files hold
// certificate and key together, as HAProxy wants them.
type PKI struct {
	CA                     string
	ClientCert, ClientKey  string
	ServerCert, ServerKey  string
	ClientPair, ServerPair string
}

// MakePKI writes new keys and certificates, valid for a day and for the server's addresses, into dir.
func MakePKI(dir string, now time.Time, server ...net.IP) (*PKI, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench root"},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("making the root: %w", err)
	}
	p := &PKI{CA: filepath.Join(dir, "ca.pem")}
	if err := os.WriteFile(p.CA, PEM("CERTIFICATE", rootDER), 0o600); err != nil {
		return nil, err
	}
	leaf := func(name string, serial int64) (cert, key, pair string, err error) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", "", "", fmt.Errorf("making a key: %w", err)
		}
		id := &url.URL{Scheme: "spiffe", Host: "bench.local", Path: "/ns/bench/sa/" + name}
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), URIs: []*url.URL{id}, IPAddresses: server,
			NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, root, k.Public(), rootKey)
		if err != nil {
			return "", "", "", fmt.Errorf("making a certificate: %w", err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return "", "", "", fmt.Errorf("encoding a key: %w", err)
		}
		c, kp := PEM("CERTIFICATE", der), PEM("PRIVATE KEY", keyDER)
		cert, key, pair = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pem")
		for file, data := range map[string][]byte{cert: c, key: kp, pair: slices.Concat(c, kp)} {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				return "", "", "", err
			}
		}
		return cert, key, pair, nil
	}
	if p.ClientCert, p.ClientKey, p.ClientPair, err = leaf("client", 2); err != nil {
		return nil, err
	}
	if p.ServerCert, p.ServerKey, p.ServerPair, err = leaf("server", 3); err != nil {
		return nil, err
	}
	return p, nil
}

// PEM gives a block of a PEM file.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
