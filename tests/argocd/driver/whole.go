package main

import (
	"os"
	"path/filepath"
	"strings"
)

// What Argo CD's own installation would hold, as far as its controllers need it.
const installation = `
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
---
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
  "stringData": {"server.secretkey": "x"}}
---
{"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default", "namespace": "argocd"},
  "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}], "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}}
`

const team = `apiVersion: pso-gen.io/v1alpha1
kind: NextCloud
metadata: {name: team}
spec:
  host: team.example.com
  replicas: {min: 2, max: 6, cpu: 70}
`

// Whole is the whole way: Git, Argo CD's controllers and servers, a real control plane, the provisioner,
// simulated arrays.
type whole struct {
	*cluster
	servers    *Servers
	repository string
	// The folder of everything that runs, and the storage document of the simulated arrays.
	folder, storage string
	stop            chan bool
}

func (w *whole) begin(given Given, folder string) error {
	if err := w.definitions(given.crds); err != nil {
		return err
	}
	if err := w.apply(installation); err != nil {
		return err
	}
	// The settings of the example.
	for _, name := range []string{"health.yaml", "params.yaml"} {
		text, err := os.ReadFile(filepath.Join(given.examples, "argocd", "install", name))
		if err != nil {
			return err
		}
		labels := "namespace: argocd\n  labels: {app.kubernetes.io/part-of: argocd}\n  name: "
		if err := w.apply(strings.Replace(string(text), "name: ", labels, 1)); err != nil {
			return err
		}
	}
	go w.pretend(w.stop)
	shipped, err := os.ReadFile(given.plugin)
	if err != nil {
		return err
	}
	bin := filepath.Join(folder, "bin")
	// As the example's sidecar has them.
	rules := []string{"PSO_GEN_TENANT_RULES={platformProjects: [storage]}"}
	w.servers, err = start(filepath.Join(folder, "argocd"), folder, []Plugin{{Name: "pso-gen", Config: string(shipped), Path: bin, Environment: rules}},
		"--plugin-tar-exclude", ".git/*", "--plugin-use-manifest-generate-paths",
		// What a branch points at is asked anew, as after a webhook.
		"--revision-cache-expiration", "5s")
	if err != nil {
		return err
	}
	// The arrays come first: Git holds the storage document that names them.
	arrays := filepath.Join(folder, "arrays")
	document := filepath.Join(arrays, "storage.pso.yaml")
	if err := os.MkdirAll(arrays, 0o755); err != nil {
		return err
	}
	if err := w.servers.run("arrays", folder, os.Environ(), filepath.Join(bin, "pso-gen"), "simulate", "--storage-out", document); err != nil {
		return err
	}
	if err := w.servers.wait(func() bool {
		_, err := os.Stat(document)
		return err == nil
	}); err != nil {
		return err
	}
	w.folder = folder
	if w.storage, err = asInCluster(document, filepath.Join(folder, "secrets")); err != nil {
		return err
	}
	if err := w.git(given, folder); err != nil {
		return err
	}
	if err := w.controllers(""); err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(given.examples, "argocd", "root.yaml"))
	if err != nil {
		return err
	}
	if err := w.apply(w.ours(string(root))); err != nil {
		return err
	}
	return w.provisioner()
}

// Ours puts the local repository where an example names one.
func (w *whole) ours(text string) string {
	return strings.ReplaceAll(text, "https://git.example.com/platform/apps.git", "file://"+w.repository)
}

// Read returns an example of Argo CD's, with the local repository.
func (w *whole) read(given Given, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(given.examples, "argocd", name))
	return w.ours(string(text)), err
}

// Team returns what the platform writes for a team, by the example's words for it: copy the file, with its name.
func (w *whole) team(given Given, name string) (string, error) {
	text, err := w.read(given, "platform/team-cloud.yaml")
	return strings.ReplaceAll(text, "cloud", name), err
}

func (w *whole) git(given Given, folder string) error {
	w.repository = filepath.Join(folder, "git")
	files := map[string]string{"storage/storage.pso.yaml": w.storage, "apps/team/pso.yaml": team}
	// Each team's folder is called as its namespace.
	for team, name := range map[string]string{"cloud": "nextcloud", "files": "owncloud", "scratch": "scratch"} {
		text, err := os.ReadFile(filepath.Join(given.examples, "tiny", name+".pso.yaml"))
		if err != nil {
			return err
		}
		files["apps/"+team+"/pso.yaml"] = string(text)
	}
	for _, team := range []string{"files", "scratch", "team"} {
		text, err := w.team(given, team)
		if err != nil {
			return err
		}
		files["argocd/platform/team-"+team+".yaml"] = text
	}
	platform, err := filepath.Glob(filepath.Join(given.examples, "argocd", "platform", "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range platform {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files["argocd/platform/"+filepath.Base(path)] = w.ours(string(text))
	}
	if err := write(w.repository, files); err != nil {
		return err
	}
	_, err = commit(w.repository)
	return err
}

// Controllers starts Argo CD's, and ends those that run.
func (w *whole) controllers(flags string) error {
	w.servers.end("controller")
	environment := append(os.Environ(), "KUBECONFIG="+w.kubeconfig, "ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_RECONCILIATION_TIMEOUT=15s", "ARGOCD_RECONCILIATION_JITTER=0s", "ARGOCD_GPG_ENABLED=false",
		"ARGOCD_TLS_DATA_PATH="+filepath.Join(w.servers.Folder, "tls"))
	metrics, err := freeAddress()
	if err != nil {
		return err
	}
	arguments := []string{"application-controller", "--namespace", "argocd", "--repo-server", w.servers.address,
		"--repo-server-plaintext", "--redis", w.servers.redis, "--metrics-port", metrics[strings.LastIndex(metrics, ":")+1:],
		"--loglevel", "info"}
	arguments = append(arguments, strings.Fields(flags)...)
	if err := w.servers.run("controller", w.servers.Folder, environment, w.servers.program, arguments...); err != nil {
		return err
	}
	if w.servers.runs["applicationset"] != nil {
		return nil
	}
	return w.servers.run("applicationset", w.servers.Folder, append(environment, "NAMESPACE=argocd"), w.servers.program,
		"applicationset-controller", "--namespace", "argocd", "--argocd-repo-server", w.servers.address, "--repo-server-plaintext",
		"--metrics-addr", "127.0.0.1:0", "--probe-addr", "127.0.0.1:0", "--webhook-addr", "127.0.0.1:0")
}
