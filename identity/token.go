package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Claims is what a join token says. The text of a token is a secret; the claims are not.
type Claims struct {
	TrustDomain    string `json:"td"`
	Namespace      string `json:"ns"`
	ServiceAccount string `json:"sa"`   // "*": any of the namespace
	Expires        int64  `json:"exp"`  // seconds since 1970
	RootHash       string `json:"root"` // pins the control plane at first contact
	Nonce          string `json:"n"`
}

const (
	tokenPrefix = "weft1."
	maxToken    = 4 << 10
)

// Allows reports whether the claims cover an identity.
func (c *Claims) Allows(id ID) bool {
	return c.TrustDomain == id.TrustDomain && c.Namespace == id.Namespace &&
		(c.ServiceAccount == id.ServiceAccount || c.ServiceAccount == "*" && c.Namespace != SystemNamespace)
}

// SignToken makes a join token of claims: weft1.CLAIMS.MAC, with HMAC-SHA-256.
func SignToken(secret []byte, c Claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding a join token: %w", err)
	}
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(tokenMAC(secret, text)), nil
}

// VerifyToken checks a join token and gives its claims. The comparison takes the same time
// whatever is wrong, and nothing of the claims is looked at before it. Errors are W2102 and W2103.
func VerifyToken(secret []byte, token string, now time.Time) (*Claims, error) {
	text, mac, err := splitToken(token)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, tokenMAC(secret, text)) {
		return nil, badToken("its signature is not this control plane's")
	}
	c, err := PeekToken(token)
	if err != nil {
		return nil, err
	}
	if ends := time.Unix(c.Expires, 0); !now.Before(ends) {
		e := codes.New("W2103", "the join token has expired")
		e.Why = fmt.Sprintf("it ended %s ago, at %s UTC", now.Sub(ends).Round(time.Second), ends.UTC().Format(time.DateTime))
		return nil, e
	}
	return c, nil
}

// PeekToken reads the claims without checking the signature, for whoever holds a token and must
// know which mesh it is for.
func PeekToken(token string) (*Claims, error) {
	text, _, err := splitToken(token)
	if err != nil {
		return nil, err
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(text, tokenPrefix))
	if err != nil {
		return nil, badToken("its claims are not base64")
	}
	var c Claims
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, badToken("its claims are not JSON")
	}
	return &c, nil
}

func splitToken(token string) (text string, mac []byte, err error) {
	token = strings.TrimSpace(token)
	if len(token) > maxToken {
		return "", nil, badToken(fmt.Sprintf("it is longer than %d characters", maxToken))
	}
	dot := strings.LastIndexByte(token, '.')
	if !strings.HasPrefix(token, tokenPrefix) || dot < len(tokenPrefix) {
		return "", nil, badToken(`it is not of the form "weft1.CLAIMS.SIGNATURE"`)
	}
	mac, derr := base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	if derr != nil || len(mac) != sha256.Size {
		return "", nil, badToken("its signature is cut off or changed")
	}
	return token[:dot], mac, nil
}

func tokenMAC(secret []byte, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// badToken never repeats the token.
func badToken(why string) error {
	e := codes.New("W2102", "the join token is not valid")
	e.Why = why
	e.Next = []string{"weft token create"}
	return e
}
