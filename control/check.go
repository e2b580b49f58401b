package control

import (
	"context"
	"fmt"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/model/wire"
)

// What Check finds worth telling.
const (
	rootWarning = 180 * 24 * time.Hour // before the root's end
	leafWarning = 6 * time.Hour        // before a leaf's end; renewal is at about 12 h
	maxSkew     = 2 * time.Minute
	maxBehind   = 5 * time.Second
)

// Areas of checks.
const (
	areaControl = "control plane"
	areaData    = "data plane"
	areaConfig  = "configuration"
)

// checks collects results.
type checks struct{ out []*pb.CheckResult }

func (c *checks) ok(area, name, evidence string) {
	c.out = append(c.out, &pb.CheckResult{Area: area, Name: name, State: "ok", Evidence: evidence})
}

// bad adds a finding; state is "warning" or "failed".
func (c *checks) bad(area, name, state string, e *wcodes.Error) {
	evidence := e.Why
	if evidence == "" {
		evidence = e.What
	}
	c.out = append(c.out, &pb.CheckResult{Area: area, Name: name, State: state, Evidence: evidence, Fault: wire.Fault(e)})
}

func finding(code, what, why string, next ...string) *wcodes.Error {
	return &wcodes.Error{Code: code, What: what, Why: why, Next: next}
}

// Check implements pb.MeshServer.
func (s *meshService) Check(context.Context, *pb.CheckRequest) (*pb.CheckReply, error) {
	var c checks
	s.checkControl(&c)
	s.checkProxies(&c)
	s.checkWorkloads(&c)
	s.checkConfig(&c)
	return &pb.CheckReply{Results: c.out}, nil
}

func (s *meshService) checkControl(c *checks) {
	if err := s.dir.Write("probe", []byte("weft check\n")); err != nil {
		e := finding("W2007", "the state directory cannot be written", err.Error(), "df -h "+s.dir.Path(), "ls -ld "+s.dir.Path())
		e.Where = s.dir.Path()
		c.bad(areaControl, "state directory", "failed", e)
	} else {
		c.ok(areaControl, "state directory", s.dir.Path()+" can be written")
	}
	root := s.ca.Root()
	left := root.NotAfter.Sub(s.opt.Now())
	if left < rootWarning {
		state := "warning"
		if left < 0 {
			state = "failed"
		}
		c.bad(areaControl, "root certificate", state, finding("W2010", "the root certificate ends soon",
			fmt.Sprintf("it ends at %s UTC, in %s", root.NotAfter.UTC().Format(time.DateTime), left.Round(time.Hour)), "weft status -o json"))
	} else {
		c.ok(areaControl, "root certificate", fmt.Sprintf("of %s, valid until %s", s.ca.TrustDomain(), root.NotAfter.UTC().Format(time.DateOnly)))
	}
}

func (s *meshService) checkProxies(c *checks) {
	proxies := s.disco.Proxies()
	good, connected := 0, 0
	for i := range proxies {
		p := &proxies[i]
		if !p.Connected {
			continue // the workload's check tells
		}
		connected++
		if s.checkProxy(c, p) {
			good++
		}
	}
	if good == connected {
		c.ok(areaData, "proxies", fmt.Sprintf("%d connected and current", good))
	}
}

func (s *meshService) checkProxy(c *checks, p *discovery.Proxy) bool {
	name, before := "proxy "+p.Name, len(c.out)
	if p.Behind > maxBehind {
		c.bad(areaData, name, "warning", finding("W2405", name+" is behind",
			fmt.Sprintf("an update is unanswered for %s; it serves snapshot %d", p.Behind.Round(time.Second), p.Acknowledged), "weft status -o wide"))
	}
	for _, r := range p.Rejected {
		c.bad(areaData, name, "failed", finding("W2203", fmt.Sprintf("%s could not use %s %s", name, r.GetKind(), wire.ToName(r.GetName())), r.GetReason(), "weft status -o wide"))
	}
	for _, problem := range p.Problems {
		c.bad(areaData, name, "failed", finding("W2203", name+" serves a rule that cannot work", problem, "weft check DIR"))
	}
	if p.ClockOffset.Abs() > maxSkew {
		c.bad(areaData, name, "warning", finding("W2407", "the clock of "+name+" differs", "by "+p.ClockOffset.Round(time.Second).String(), "date -u"))
	}
	if end := p.CertificateNotAfter; !end.IsZero() && end.Sub(s.opt.Now()) < leafWarning {
		c.bad(areaData, name, "warning", finding("W2408", "the certificate of "+name+" ends soon",
			fmt.Sprintf("at %s UTC, in %s", end.UTC().Format(time.DateTime), end.Sub(s.opt.Now()).Round(time.Minute)), "weft status -o wide"))
	}
	return len(c.out) == before
}

func (s *meshService) checkWorkloads(c *checks) {
	entries, _ := s.reg.All()
	good := 0
	for _, e := range entries {
		if e.State != registry.Lost {
			good++
			continue
		}
		c.bad(areaData, "workload "+e.Name().String(), "warning", finding("W2406", "the proxy of "+e.Name().String()+" is not connected",
			"since "+e.Since.UTC().Format(time.DateTime)+" UTC", "weft whois "+e.Name().String()))
	}
	if good == len(entries) {
		c.ok(areaData, "workloads", fmt.Sprintf("%d registered", good))
	}
}

func (s *meshService) checkConfig(c *checks) {
	problems := s.world.Problems()
	for _, p := range problems {
		state := "failed"
		if wcodes.IsWarning(p.Code) {
			state = "warning"
		}
		name := p.Where
		if name == "" {
			name = p.What
		}
		c.bad(areaConfig, name, state, p)
	}
	snap := s.disco.Current()
	if len(problems) == 0 {
		dir := s.opt.Dir
		if dir == "" {
			dir = "no directory; registered workloads only"
		}
		c.ok(areaConfig, "objects", fmt.Sprintf("%d services (%s)", len(snap.Services), dir))
	}
	for _, n := range sortedNames(snap.Services) {
		if len(snap.Services[n].Ports) > 0 && len(snap.Endpoints[n].Endpoints) == 0 {
			c.bad(areaConfig, "service "+n.String(), "warning", finding("W2409", "nobody answers for service "+n.String(),
				"0 endpoints", fmt.Sprintf("weft run --name %s -n %s --port PORT -- COMMAND", n.Name, n.Namespace)))
		}
	}
}
