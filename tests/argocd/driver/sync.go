package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
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

// The storage document that Argo CD syncs. The arrays are simulated, for the same cluster's name.
const storageDocument = `apiVersion: pso-gen.io/v1alpha1
kind: Storage
metadata: {name: pso, namespace: pso-system}
spec:
  cluster: demo
  nodes: [10.0.0.0/8]
  arrays:
    - {name: fb1, type: FlashBlade, management: fb1.example.com, token: {secret: arrays, key: fb1}}
    - {name: fa1, type: FlashArray, management: fa1.example.com, token: {secret: arrays, key: fa1}}
  provisioner: {image: "registry.example.com/pso-gen:0.1.0"}
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
	stop       chan bool
}

func wholeWay(given Given, only []string) (err error) {
	folder, err := room(given)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(folder)
		} else {
			err = fmt.Errorf("%w; logs are in %s", err, folder)
		}
	}()
	cluster, err := startCluster(given.controlplane)
	if err != nil {
		return err
	}
	defer cluster.stop()
	w := &whole{cluster: cluster, stop: make(chan bool)}
	if err := w.begin(given, folder); err != nil {
		return err
	}
	defer w.servers.stop()
	defer close(w.stop)
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"everything-is-synced-and-healthy", w.healthy},
		{"claims-are-bound", w.bound},
		{"storage-comes-first-and-waves-are-kept", w.ordered},
		{"a-second-sync-changes-nothing", w.again},
		{"an-autoscaler-is-no-drift", w.scaled},
		{"server-side-diff-sees-no-drift", func() error { return w.serverSide(folder) }},
		{"a-commit-is-synced", w.commit},
		{"apps-are-deleted-before-storage-and-data-is-kept", w.deleted},
		{"several-clusters", func() error { return w.clusters(given) }},
		{"rendered-manifests", func() error { return w.rendered(given) }},
		{"the-installation-is-taken", func() error { return w.installed(given) }},
	} {
		if len(only) > 0 && !slices.Contains(only, c.name) {
			continue
		}
		began := time.Now()
		if err := c.run(); err != nil {
			return fmt.Errorf("FAIL %s: %w", c.name, err)
		}
		fmt.Printf("ok %s (%.1f s)\n", c.name, time.Since(began).Seconds())
	}
	return nil
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
	w.servers, err = start(filepath.Join(folder, "argocd"), folder, []Plugin{{Name: "pso-gen", Config: string(shipped), Path: bin}},
		"--plugin-tar-exclude", ".git/*", "--plugin-use-manifest-generate-paths")
	if err != nil {
		return err
	}
	if err := w.git(given, folder); err != nil {
		return err
	}
	// The arrays, and the provisioner as the Deployment would run it.
	document := filepath.Join(folder, "arrays", "storage.pso.yaml")
	if err := os.MkdirAll(filepath.Dir(document), 0o755); err != nil {
		return err
	}
	program := filepath.Join(bin, "pso-gen")
	if err := w.servers.run("arrays", folder, os.Environ(), program, "simulate", "--storage-out", document); err != nil {
		return err
	}
	if err := w.servers.wait(func() bool {
		_, err := os.Stat(document)
		return err == nil
	}); err != nil {
		return err
	}
	if err := w.servers.run("provisioner", folder, os.Environ(), program, "provisioner", "--storage", document,
		"--kubeconfig", w.kubeconfig); err != nil {
		return err
	}
	if err := w.controllers(""); err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(given.examples, "argocd", "root.yaml"))
	if err != nil {
		return err
	}
	return w.apply(w.ours(string(root)))
}

// Ours puts the local repository where an example names one.
func (w *whole) ours(text string) string {
	return strings.ReplaceAll(text, "https://git.example.com/platform/apps.git", "file://"+w.repository)
}

func (w *whole) git(given Given, folder string) error {
	w.repository = filepath.Join(folder, "git")
	files := map[string]string{"storage/storage.pso.yaml": storageDocument, "apps/team/pso.yaml": team}
	for _, name := range []string{"nextcloud", "owncloud", "scratch"} {
		text, err := os.ReadFile(filepath.Join(given.examples, "tiny", name+".pso.yaml"))
		if err != nil {
			return err
		}
		files["apps/"+name+"/pso.yaml"] = string(text)
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
	if old := w.servers.runs["controller"]; old != nil {
		_ = old.Process.Signal(syscall.SIGKILL)
		_ = old.Wait()
	}
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

func word(object unstructured.Unstructured, path ...string) string {
	found, _, _ := unstructured.NestedString(object.Object, path...)
	return found
}

// States returns what does not hold of the Applications that there should be.
func (w *whole) states(health bool) error {
	all, err := w.list(applications, "argocd")
	if err != nil {
		return err
	}
	var wrong []string
	names := map[string]bool{}
	for _, application := range all {
		names[application.GetName()] = true
		sync, state := word(application, "status", "sync", "status"), word(application, "status", "health", "status")
		if sync != "Synced" || health && state != "Healthy" {
			message := word(application, "status", "operationState", "message")
			conditions, _, _ := unstructured.NestedSlice(application.Object, "status", "conditions")
			resources, _, _ := unstructured.NestedSlice(application.Object, "status", "resources")
			var off []any
			for _, resource := range resources {
				resource, _ := resource.(map[string]any)
				condition, _ := resource["health"].(map[string]any)
				if resource["status"] != "Synced" || condition != nil && condition["status"] != "Healthy" {
					off = append(off, fmt.Sprint(resource["kind"], "/", resource["name"], " ", resource["status"], " ", condition["status"]))
				}
			}
			wrong = append(wrong, fmt.Sprintf("%s is %s, %s: %s %v %v", application.GetName(), sync, state, message, conditions, off))
		}
	}
	for _, name := range []string{"root", "storage", "nextcloud", "owncloud", "scratch", "team"} {
		if !names[name] {
			wrong = append(wrong, name+" is not there")
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

func (w *whole) healthy() error {
	return eventually(300, func() error { return w.states(true) })
}

func (w *whole) bound() error {
	all, err := w.list(claims, "")
	if err != nil {
		return err
	}
	if len(all) < 10 {
		return fmt.Errorf("%d claims", len(all))
	}
	for _, claim := range all {
		if word(claim, "status", "phase") != "Bound" {
			return fmt.Errorf("%s/%s is %s", claim.GetNamespace(), claim.GetName(), word(claim, "status", "phase"))
		}
	}
	fmt.Printf("   %d claims\n", len(all))
	return nil
}

// Ordered looks at when things were made. Clocks of objects tell seconds; between waves lie two of them.
func (w *whole) ordered() error {
	all, err := w.tracked()
	if err != nil {
		return err
	}
	provisioner := all["Deployment/pso-system/pso-gen-provisioner"]
	waves := map[string]map[string][]time.Time{}
	for name, object := range all {
		application, _, _ := strings.Cut(object.GetAnnotations()["argocd.argoproj.io/tracking-id"], ":")
		if waves[application] == nil {
			waves[application] = map[string][]time.Time{}
		}
		made := object.GetCreationTimestamp().Time
		wave := object.GetAnnotations()["argocd.argoproj.io/sync-wave"]
		waves[application][wave] = append(waves[application][wave], made)
		isApp := !slices.Contains([]string{"root", "storage"}, application)
		if isApp && made.Before(provisioner.GetCreationTimestamp().Time) {
			return fmt.Errorf("%s was made before the provisioner", name)
		}
	}
	for application, times := range waves {
		if application == "root" {
			continue
		}
		order := []string{"-30", "-29", "-28", "-25", "-20", "-19", "-1", "", "1"}
		var last time.Time
		for _, wave := range order {
			var latest time.Time
			for _, made := range times[wave] {
				if made.Before(last) {
					return fmt.Errorf("%s: something of wave %q was made before the wave before it had ended", application, wave)
				}
				if made.After(latest) {
					latest = made
				}
			}
			if !latest.IsZero() {
				last = latest
			}
		}
	}
	return nil
}

// Tracked returns everything that Argo CD looks after.
func (w *whole) tracked() (map[string]*unstructured.Unstructured, error) {
	all, err := w.list(applications, "argocd")
	if err != nil {
		return nil, err
	}
	found := map[string]*unstructured.Unstructured{}
	for _, application := range all {
		resources, _, _ := unstructured.NestedSlice(application.Object, "status", "resources")
		for _, resource := range resources {
			resource, _ := resource.(map[string]any)
			text := func(key string) string { word, _ := resource[key].(string); return word }
			var object unstructured.Unstructured
			object.SetAPIVersion(strings.TrimPrefix(text("group")+"/"+text("version"), "/"))
			object.SetKind(text("kind"))
			object.SetNamespace(text("namespace"))
			api, err := w.of(&object)
			if err != nil {
				return nil, err
			}
			there, err := api.Get(context.Background(), text("name"), metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			if text("group") != "argoproj.io" {
				found[key(there)] = there
			}
		}
	}
	return found, nil
}

// Sync asks for one of every Application, and waits until they have ended.
func (w *whole) sync() error {
	all, err := w.list(applications, "argocd")
	if err != nil {
		return err
	}
	// An end is told in seconds.
	time.Sleep(time.Second)
	before := map[string]string{}
	for _, application := range all {
		before[application.GetName()] = word(application, "status", "operationState", "finishedAt")
		operation := `{"metadata": {"annotations": {"argocd.argoproj.io/refresh": "hard"}},
			"operation": {"initiatedBy": {"username": "test"}, "sync": {"syncOptions": ["ServerSideApply=true"]}}}`
		if err := w.patch(applications, "argocd", application.GetName(), operation); err != nil {
			return err
		}
	}
	return eventually(120, func() error {
		all, err := w.list(applications, "argocd")
		if err != nil {
			return err
		}
		for _, now := range all {
			if end := word(now, "status", "operationState", "finishedAt"); end == before[now.GetName()] || end == "" {
				return fmt.Errorf("%s has not been synced: %s", now.GetName(), word(now, "status", "operationState", "message"))
			}
			if phase := word(now, "status", "operationState", "phase"); phase != "Succeeded" {
				return fmt.Errorf("%s: %s", now.GetName(), phase)
			}
		}
		return nil
	})
}

func (w *whole) again() error {
	before, err := w.tracked()
	if err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.unchanged(before)
}

// Unchanged holds that nobody has written to anything.
func (w *whole) unchanged(before map[string]*unstructured.Unstructured) error {
	after, err := w.tracked()
	if err != nil {
		return err
	}
	if len(before) < 100 || len(after) != len(before) {
		return fmt.Errorf("%d objects before, %d after", len(before), len(after))
	}
	for name, object := range before {
		now := after[name]
		if now == nil || now.GetResourceVersion() != object.GetResourceVersion() && !onlyStatus(object, now) {
			return fmt.Errorf("%s was written to", name)
		}
	}
	fmt.Printf("   %d objects as they were\n", len(after))
	return eventually(60, func() error { return w.states(true) })
}

// OnlyStatus tells what an autoscaler writes to itself, since there are no metrics, from what a sync writes.
func onlyStatus(before, after *unstructured.Unstructured) bool {
	if before.GetKind() != "HorizontalPodAutoscaler" {
		return false
	}
	a, b := before.DeepCopy(), after.DeepCopy()
	for _, object := range []*unstructured.Unstructured{a, b} {
		delete(object.Object, "status")
		object.SetResourceVersion("")
		object.SetManagedFields(nil)
	}
	return reflect.DeepEqual(a.Object, b.Object)
}

func (w *whole) scaled() error {
	if err := w.patch(deployments, "team", "team-web", `{"spec": {"replicas": 4}}`, "scale"); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	deployment, err := w.client.Resource(deployments).Namespace("team").Get(context.Background(), "team-web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas"); replicas != 4 {
		return fmt.Errorf("%d replicas after a sync", replicas)
	}
	secret, err := w.list(secrets, "team")
	if err != nil {
		return err
	}
	for _, secret := range secret {
		if data, _, _ := unstructured.NestedMap(secret.Object, "data"); len(data) == 0 {
			return fmt.Errorf("the Secret %s was emptied", secret.GetName())
		}
	}
	return eventually(60, func() error { return w.states(true) })
}

func (w *whole) serverSide(string) error {
	before, err := w.tracked()
	if err != nil {
		return err
	}
	if err := w.controllers("--server-side-diff-enabled"); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.unchanged(before)
}

func (w *whole) commit() error {
	if err := write(w.repository, map[string]string{"apps/team/pso.yaml": team + "  volumes: {data: 16Ti}\n"}); err != nil {
		return err
	}
	if _, err := commit(w.repository); err != nil {
		return err
	}
	// As a webhook does; otherwise Argo CD looks every three minutes.
	if err := w.patch(applications, "argocd", "team", `{"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}`); err != nil {
		return err
	}
	return eventually(120, func() error {
		claim, err := w.client.Resource(claims).Namespace("team").Get(context.Background(), "team-data", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if size := word(*claim, "status", "capacity", "storage"); size != "16Ti" {
			return fmt.Errorf("the claim has %s", size)
		}
		return w.states(true)
	})
}

func (w *whole) deleted() error {
	err := w.client.Resource(applications).Namespace("argocd").Delete(context.Background(), "root", metav1.DeleteOptions{})
	if err != nil {
		return err
	}
	storageSeen := false
	if err := eventually(240, func() error {
		all, err := w.list(applications, "argocd")
		if err != nil {
			return err
		}
		var left []string
		storage := false
		for _, application := range all {
			if application.GetName() == "storage" {
				storage = application.GetDeletionTimestamp() == nil
				continue
			}
			if application.GetName() != "root" {
				left = append(left, application.GetName())
			}
		}
		if len(left) > 0 {
			storageSeen = true
			if !storage {
				return stopped{fmt.Errorf("storage is deleted while %v are there", left)}
			}
		}
		if len(all) > 0 {
			return fmt.Errorf("%d Applications are left: %v", len(all), left)
		}
		return nil
	}); err != nil {
		return err
	}
	if !storageSeen {
		return errors.New("the order was not seen")
	}
	all, err := w.list(claims, "")
	if err != nil {
		return err
	}
	var kept []string
	for _, claim := range all {
		if claim.GetDeletionTimestamp() == nil {
			kept = append(kept, claim.GetNamespace()+"/"+claim.GetName())
		}
	}
	for _, name := range []string{"cloud/nc-data", "files/oc-files", "team/team-data"} {
		if !slices.Contains(kept, name) {
			return fmt.Errorf("%s is gone; kept are %v", name, kept)
		}
	}
	left, err := w.list(deployments, "")
	if err != nil || len(left) > 0 {
		return fmt.Errorf("%d Deployments are left: %w", len(left), err)
	}
	return nil
}

// Stopped is an error that waiting does not mend.
type stopped struct{ error }

// Read returns an example of Argo CD's, with the local repository.
func (w *whole) read(given Given, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(given.examples, "argocd", name))
	return w.ours(string(text)), err
}

// Synced waits until an Application is synced, and healthy if that is asked for.
func (w *whole) synced(name string, healthy bool) error {
	return eventually(120, func() error {
		application, err := w.client.Resource(applications).Namespace("argocd").Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		sync, health := word(*application, "status", "sync", "status"), word(*application, "status", "health", "status")
		if sync != "Synced" || healthy && health != "Healthy" {
			conditions, _, _ := unstructured.NestedSlice(application.Object, "status", "conditions")
			return fmt.Errorf("%s is %s, %s: %s %v", name, sync, health, word(*application, "status", "operationState", "message"), conditions)
		}
		return nil
	})
}

// Remove deletes an object in the foreground and waits until it and all Applications are gone.
func (w *whole) remove(resource schema.GroupVersionResource, name string) error {
	foreground := metav1.DeletePropagationForeground
	if err := w.client.Resource(resource).Namespace("argocd").Delete(context.Background(), name, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		return err
	}
	return eventually(120, func() error {
		all, err := w.list(applications, "argocd")
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("%s is left", all[0].GetName())
		}
		return err
	})
}

// One cluster that is known by a name and a label, with a layer and a storage document of its own.
func (w *whole) clusters(given Given) error {
	if err := os.RemoveAll(filepath.Join(w.repository, "apps")); err != nil {
		return err
	}
	if err := write(w.repository, map[string]string{
		"apps/lab/pso.yaml":             "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {name: lab}\n",
		"environments/prod.yaml":        "spec: {replicas: 5}\n",
		"storage/prod/storage.pso.yaml": storageDocument,
	}); err != nil {
		return err
	}
	if _, err := commit(w.repository); err != nil {
		return err
	}
	for _, name := range []string{"platform/projects.yaml", "clusters/storage.yaml", "clusters/apps.yaml"} {
		text, err := w.read(given, name)
		if err != nil {
			return err
		}
		if name == "clusters/storage.yaml" {
			text += `
---
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prod", "namespace": "argocd",
  "labels": {"argocd.argoproj.io/secret-type": "cluster", "apps": "yes"}},
  "stringData": {"name": "prod", "server": "https://kubernetes.default.svc", "config": "{}"}}
`
		}
		if err := w.apply(text); err != nil {
			return err
		}
	}
	// As a webhook does.
	if err := w.patch(applicationsets, "argocd", "apps", `{"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}`); err != nil {
		return err
	}
	for _, name := range []string{"storage-prod", "lab-prod"} {
		if err := w.synced(name, true); err != nil {
			return err
		}
	}
	deployment, err := w.client.Resource(deployments).Namespace("lab").Get(context.Background(), "lab-shell", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas"); replicas != 5 {
		return fmt.Errorf("the cluster's layer is not there: %d replicas", replicas)
	}
	if err := w.client.Resource(applicationsets).Namespace("argocd").Delete(context.Background(), "apps", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return w.remove(applicationsets, "storage")
}

// A plain folder of what `render --out` has written.
func (w *whole) rendered(given Given) error {
	command := exec.Command(given.generator, "render", "apps", "--namespace", "lab", "--out", "manifests")
	command.Dir = w.repository
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	if _, err := commit(w.repository); err != nil {
		return err
	}
	text, err := w.read(given, "rendered/apps.yaml")
	if err == nil {
		err = w.apply(text)
	}
	if err == nil {
		err = w.patch(applications, "argocd", "apps", `{"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}`)
	}
	if err == nil {
		// Its claim waits: the storage document is gone.
		err = w.synced("apps", false)
	}
	if err != nil {
		return err
	}
	return w.remove(applications, "apps")
}

// What Kustomize makes of Argo CD's own manifests and our patches is taken by the API server, word for word.
func (w *whole) installed(given Given) error {
	text, err := os.ReadFile(given.install)
	if err != nil {
		return err
	}
	decoder := kubeyaml.NewYAMLOrJSONDecoder(strings.NewReader(string(text)), 4096)
	sidecar := false
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		api, err := w.of(&object)
		if err == nil {
			_, err = api.Patch(context.Background(), object.GetName(), types.ApplyPatchType, marshal(&object),
				metav1.PatchOptions{FieldManager: "install", Force: &yes, DryRun: []string{"All"}, FieldValidation: "Strict"})
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		sidecar = sidecar || object.GetName() == "argocd-repo-server" && len(containers) == 2
	}
	if !sidecar {
		return errors.New("the repository server has no sidecar")
	}
	return nil
}

var yes = true

func marshal(object *unstructured.Unstructured) []byte {
	text, _ := object.MarshalJSON()
	return text
}
