// One binary that is kubelet and kube-proxy: most of their code is shared, as that of ../../controlplane/servers is.
//
// The name it is called by picks the program, else its first argument:
//
//	node kubelet --help
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func() *cobra.Command{
	"kubelet":    func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy": proxy.NewProxyCommand,
}

func main() {
	program := programs[filepath.Base(os.Args[0])]
	if program == nil && len(os.Args) > 1 {
		program = programs[os.Args[1]]
		// The programs read os.Args themselves.
		os.Args = os.Args[1:]
	}
	if program == nil {
		fmt.Fprintln(os.Stderr, "usage: node kubelet|kube-proxy ...")
		os.Exit(2)
	}
	os.Exit(cli.Run(program()))
}
