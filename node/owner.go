package node

import (
	"fmt"
	"strings"
)

// Owner identifies one process for as long as the machine runs: a pid alone is used again by
// the kernel. It is written beside things that outlive a kill -9, so that the next start can
// tell rubbish from the property of somebody living.
type Owner struct {
	PID   int
	Start uint64 // clock ticks between boot and the process's start; 0 where the system does not tell
	Space uint64 // inode of the pid namespace that PID counts in; 0 where there are none
}

// String gives the form that ParseOwner reads: "pid-start-space".
func (o Owner) String() string { return fmt.Sprintf("%d-%d-%d", o.PID, o.Start, o.Space) }

// ParseOwner reads what String wrote.
func ParseOwner(s string) (Owner, error) {
	var o Owner
	n, err := fmt.Sscanf(s, "%d-%d-%d", &o.PID, &o.Start, &o.Space)
	if err != nil || n != 3 || o.PID <= 0 || o.String() != s {
		return Owner{}, fmt.Errorf("owner %q: want pid-start-space, such as 4711-123456-4026531836", clip(s))
	}
	return o, nil
}

// Self is the calling process.
func Self() Owner { return lookOwner(selfPID()) }

// Dead reports whether the process is certainly gone. An owner that cannot be judged (another
// pid namespace, no permission) counts as living: nobody's property is removed on a guess.
func (o Owner) Dead() bool {
	if o.PID <= 0 || o.Space != pidSpace() {
		return false
	}
	if !exists(o.PID) {
		return true
	}
	now := lookOwner(o.PID)
	return now.Start != 0 && o.Start != 0 && now.Start != o.Start
}

// parseStart finds the start time in the text of /proc/PID/stat (proc_pid_stat(5), field 22).
// The command name, field 2, may itself hold blanks and parentheses, so counting begins after
// the last closing one.
func parseStart(stat string) (uint64, bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(stat[end+1:])
	const startField = 22 - 3 // the first field after the name is number 3
	if len(fields) <= startField {
		return 0, false
	}
	// The state is the first of them; a zombie has ended, only its parent has not asked yet.
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	var v uint64
	if _, err := fmt.Sscanf(fields[startField], "%d", &v); err != nil {
		return 0, false
	}
	return v, true
}

// clip bounds text from outside that goes into a message.
func clip(s string) string {
	const max = 64
	if len(s) > max {
		return s[:max] + "…"
	}
	return s
}
