package cli

import (
	"github.com/spf13/cobra"
)

func completionVerb() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell",
		Long: `Prints a script that completes verbs, flags, services and workloads in bash, zsh, fish or
powershell. Names come from the control plane, within 100 ms or not at all.

To use it in the present shell:

    source <(weft completion bash)`,
		Example:   "  weft completion bash\n  weft completion zsh",
		ValidArgs: shells,
		Args:      exactly(1, "one of bash, zsh, fish, powershell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return usage("there is no completion for "+args[0], "weft completion bash")
		},
	}
	return exits(cmd, ExitOK, ExitFailed, ExitUsage)
}
