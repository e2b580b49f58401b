package control

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model/wire"
)

// Certificate requests that one identity may make at once, and how fast that comes back. A proxy
// needs one in twelve hours; a crash loop one at each start.
const (
	issueBurst = 20
	issueEvery = 500 * time.Millisecond
	// All strangers together, who are known by nothing but an address that they may change.
	strangerBurst = 50
	strangerEvery = 100 * time.Millisecond
)

// identityService implements pb.IdentityServer.
type identityService struct {
	pb.UnimplementedIdentityServer
	ca        *ca.Authority
	now       func() time.Time
	log       *slog.Logger
	perID     *limiter
	strangers *limiter
}

func newIdentityService(a *ca.Authority, now func() time.Time, log *slog.Logger) *identityService {
	return &identityService{
		ca: a, now: now, log: log,
		perID: newLimiter(issueBurst, issueEvery, now), strangers: newLimiter(strangerBurst, strangerEvery, now),
	}
}

// Trust implements pb.IdentityServer.
func (s *identityService) Trust(context.Context, *pb.TrustRequest) (*pb.TrustReply, error) {
	return &pb.TrustReply{TrustDomain: s.ca.TrustDomain(), Roots: s.ca.Bundle().DER(), ServerTimeMs: s.now().UnixMilli()}, nil
}

// Issue implements pb.IdentityServer.
func (s *identityService) Issue(ctx context.Context, req *pb.IssueRequest) (*pb.IssueReply, error) {
	c := callerOf(ctx)
	// Strangers are counted before anything is computed for them.
	if !c.known || c.local && !c.owner() {
		if !s.strangers.take("") {
			return nil, wire.Status(codes.ResourceExhausted, tooMany("callers without a certificate"))
		}
	}
	csr, id, err := s.ca.ParseRequest(req.GetCsr())
	if err != nil {
		return nil, s.refuse(c, codes.InvalidArgument, err)
	}
	how, err := s.allowed(c, req.GetToken(), id)
	if err != nil {
		return nil, s.refuse(c, codes.PermissionDenied, err)
	}
	if !s.perID.take(id.String()) {
		return nil, s.refuse(c, codes.ResourceExhausted, tooMany(id.String()))
	}
	is, err := s.ca.Sign(id, csr.PublicKey)
	if err != nil {
		return nil, s.refuse(c, codes.Internal, err)
	}
	s.log.Info("certificate issued", "identity", id.String(), "to", c.String(), "by", how, "until", is.NotAfter.UTC().Format(time.RFC3339))
	return &pb.IssueReply{
		Chain: is.Chain, Roots: s.ca.Bundle().DER(), TrustDomain: s.ca.TrustDomain(),
		NotAfter: is.NotAfter.Unix(), ServerTimeMs: s.now().UnixMilli(),
	}, nil
}

// allowed decides whether a caller may have an identity, and says by what.
func (s *identityService) allowed(c caller, token string, id identity.ID) (how string, err error) {
	no := func(why string) (string, error) {
		e := wcodes.New("W2104", fmt.Sprintf("%s may not have the identity %s", c, id))
		e.Why = why
		if id.Namespace != identity.SystemNamespace {
			e.Next = []string{fmt.Sprintf("weft token create --for %s -n %s          (at the control plane)", id.ServiceAccount, id.Namespace)}
		}
		return "", e
	}
	if id.Namespace == identity.SystemNamespace && id.ServiceAccount != identity.AdminAccount {
		return no("it is the control plane's own")
	}
	switch {
	case token != "":
		claims, err := s.ca.VerifyToken(token)
		if err != nil {
			return "", err
		}
		if !claims.Allows(id) {
			return no(fmt.Sprintf("the token is for %s/%s", claims.Namespace, claims.ServiceAccount))
		}
		return "token", nil
	case c.owner():
		return "socket", nil
	case c.local:
		return no("the control plane runs as another user, and there is no join token")
	case !c.known:
		return no("there is neither a certificate nor a join token")
	case c.id != id:
		return no("a certificate renews its own identity only")
	}
	return "renewal", nil
}

func (s *identityService) refuse(c caller, code codes.Code, err error) error {
	s.log.Warn("certificate request refused", "from", c.String(), "addr", c.addr, "err", err)
	return wire.Status(code, err)
}

func tooMany(who string) error {
	e := wcodes.New("W2106", "too many certificate requests")
	e.Why = fmt.Sprintf("%s: more than %d at once", who, issueBurst)
	return e
}
