package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageTemplate is cobra's, shorter, with the exit codes.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} VERB [flags]{{end}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}
{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if not .Groups}}
Verbs:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of all verbs:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{exitCodes .}}`

// Annotations of commands.
const (
	annotationExits = "weft/exits" // exit codes, for help and documentation
	annotationReads = "weft/reads" // the verb has the common -o
)

// exits documents which exit codes a verb has.
func exits(cmd *cobra.Command, list ...int) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	var s []string
	for _, c := range append(list, ExitInterrupted) {
		s = append(s, fmt.Sprint(c))
	}
	cmd.Annotations[annotationExits] = strings.Join(s, ",")
	return cmd
}

// exitHelp writes the section on exit codes.
func exitHelp(cmd *cobra.Command) string {
	list := cmd.Annotations[annotationExits]
	if list == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nExit codes:\n")
	for _, s := range strings.Split(list, ",") {
		var c int
		if _, err := fmt.Sscan(s, &c); err == nil {
			fmt.Fprintf(&b, "  %-4d %s\n", c, exitTexts[c])
		}
	}
	return b.String()
}
