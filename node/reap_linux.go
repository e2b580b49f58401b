package node

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// aliasPrefix begins the alias (`ip link show`) of every link of ours; the Owner follows.
const aliasPrefix = "weft run, owner "

// alias is what a link of this owner is marked with.
func alias(o Owner) string { return aliasPrefix + o.String() }

// Reap removes links whose owner is dead, and gives their names. The kernel does that by itself
// when the last process inside a namespace ends; a link is found here only if a grandchild of
// the application outlived a kill -9 of its `weft run`. Links of living owners, and links that
// merely have a name like ours, are left alone. Without CAP_NET_ADMIN nothing can be removed
// and the first failure is returned.
func Reap() (removed []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	for _, l := range links {
		if !abandoned(l.Attrs().Name, l.Type(), l.Attrs().Alias) {
			continue
		}
		if e := removeLink(l.Attrs().Name); e != nil {
			if err == nil {
				err = fmt.Errorf("removing %s: %w", l.Attrs().Name, e)
			}
			continue
		}
		removed = append(removed, l.Attrs().Name)
	}
	return removed, err
}

// abandoned reports whether a link is ours and its owner dead.
func abandoned(name, kind, alias string) bool {
	if _, ours := parseLinkName(name); !ours || kind != "veth" {
		return false
	}
	text, marked := strings.CutPrefix(alias, aliasPrefix)
	if !marked {
		return false
	}
	owner, err := ParseOwner(text)
	return err == nil && owner.Dead()
}
