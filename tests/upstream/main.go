// Kubernetes' own end-to-end tests of storage as one program, with nodes that only pretend to be there: see
// README.md for which specs run.
//
// Takes the flags of Kubernetes' e2e.test.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/logs"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/storage"
	_ "k8s.io/kubernetes/test/e2e/storage/external"
)

// cloud is a provider that some specs want to see named and ask nothing of.
const cloud = "openstack"

// result is how the specs ended: what `go test` would keep in a testing.T.
type result struct{ failed bool }

func (r *result) Fail() { r.failed = true }

func main() {
	framework.RegisterProvider(cloud, func() (framework.ProviderInterface, error) {
		return framework.NullProvider{}, nil
	})
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	nodes := flag.Bool("nodes", false, "pretend that there are nodes, and run no spec")
	flag.Parse()
	if *nodes {
		must(pretend(context.Background(), client(flag.Lookup("kubeconfig").Value.String())))
		return
	}
	must(flag.Set("provider", cloud))
	framework.AfterReadingAllFlags(&framework.TestContext)

	logs.InitLogs()
	defer logs.FlushLogs()
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	var r result
	ginkgo.RunSpecs(&r, "Kubernetes' own tests of storage", suite, reporter)
	if r.failed {
		os.Exit(1)
	}
}

func client(kubeconfig string) kubernetes.Interface {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(err)
	return kubernetes.NewForConfigOrDie(config)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
