// Command servers is Argo CD in one program: its own plugin server, repository server and controllers,
// and a Redis in memory for them. The first argument says which.
package main

import (
	"fmt"
	"os"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	cmp "github.com/argoproj/argo-cd/v3/cmd/argocd-cmp-server/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "argocd-servers", SilenceUsage: true}
	add := func(name string, command *cobra.Command) {
		command.Use = name
		root.AddCommand(command)
	}
	add("cmp-server", cmp.NewCommand())
	add("repo-server", reposerver.NewCommand())
	add("application-controller", controller.NewCommand())
	add("applicationset-controller", applicationset.NewCommand())
	add("redis", &cobra.Command{
		Short: "Serve a Redis at the address that is given",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, arguments []string) error {
			server := miniredis.NewMiniRedis()
			if err := server.StartAddr(arguments[0]); err != nil {
				return err
			}
			fmt.Println("listening at", server.Addr())
			select {}
		},
	})
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
