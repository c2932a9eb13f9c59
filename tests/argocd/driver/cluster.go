package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a real control plane, with one node that is none: what a kubelet would report is reported.
type cluster struct {
	kubeconfig string
	client     dynamic.Interface
	mapper     *restmapper.DeferredDiscoveryRESTMapper
	process    *exec.Cmd
	end        io.Closer
}

func startCluster(script string) (*cluster, error) {
	command := exec.Command(script, "--until-eof")
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	end, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the control plane does not start: %w", err)
	}
	c := &cluster{kubeconfig: strings.TrimSpace(line), process: command, end: end}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 1000, 1000
	config.WarningHandler = rest.NoWarnings{}
	if c.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))
	return c, nil
}

func (c *cluster) stop() {
	c.end.Close()
	_ = c.process.Wait()
}

// Of returns the resource of a kind.
func (c *cluster) of(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		c.mapper.Reset()
		if mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version); err != nil {
			return nil, err
		}
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.client.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
	}
	return c.client.Resource(mapping.Resource), nil
}

// Apply applies the objects of a text.
func (c *cluster) apply(text string) error {
	decoder := kubeyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if object.Object == nil {
			continue
		}
		resource, err := c.of(&object)
		if err == nil {
			_, err = resource.Apply(context.Background(), object.GetName(), &object, metav1.ApplyOptions{FieldManager: "test", Force: true})
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func resource(group, version, plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: plural}
}

var (
	applications    = resource("argoproj.io", "v1alpha1", "applications")
	applicationsets = resource("argoproj.io", "v1alpha1", "applicationsets")
	claims          = resource("", "v1", "persistentvolumeclaims")
	configMaps      = resource("", "v1", "configmaps")
	deployments     = resource("apps", "v1", "deployments")
	ingresses       = resource("networking.k8s.io", "v1", "ingresses")
	nodes           = resource("", "v1", "nodes")
	pods            = resource("", "v1", "pods")
	secrets         = resource("", "v1", "secrets")
	serviceAccounts = resource("", "v1", "serviceaccounts")
)

func (c *cluster) list(resource schema.GroupVersionResource, namespace string) ([]unstructured.Unstructured, error) {
	list, err := c.client.Resource(resource).Namespace(namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Patch merges a change, given as JSON, into an object or a subresource of it.
func (c *cluster) patch(resource schema.GroupVersionResource, namespace, name, change string, subresources ...string) error {
	_, err := c.client.Resource(resource).Namespace(namespace).Patch(context.Background(), name, types.MergePatchType,
		[]byte(change), metav1.PatchOptions{}, subresources...)
	return err
}

// Pretend does what nodes and what stands before the cluster would do, until it is stopped: pods run, jobs'
// pods succeed, and fill their Secrets, ingresses have an address.
func (c *cluster) pretend(stop <-chan bool) {
	node := `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "pretended", "labels": {"kubernetes.io/hostname": "pretended"}}}`
	if err := c.apply(node); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return
	}
	for round := 0; ; round++ {
		select {
		case <-stop:
			return
		case <-time.After(500 * time.Millisecond):
		}
		if round%10 == 0 {
			c.beat()
		}
		c.pods()
		c.entries()
	}
}

func (c *cluster) beat() {
	now := time.Now().UTC().Format(time.RFC3339)
	amounts := `{"cpu": "1000", "memory": "10Ti", "pods": "1000", "ephemeral-storage": "10Ti", "nvidia.com/gpu": "8"}`
	status := fmt.Sprintf(`{"status": {"capacity": %s, "allocatable": %s, "conditions": [{"type": "Ready", "status": "True",
		"reason": "KubeletReady", "lastHeartbeatTime": %q, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`, amounts, amounts, now)
	_ = c.patch(nodes, "", "pretended", status, "status")
	micro := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	_ = c.apply(fmt.Sprintf(`{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "pretended",
		"namespace": "kube-node-lease"}, "spec": {"holderIdentity": "pretended", "leaseDurationSeconds": 40, "renewTime": %q}}`, micro))
}

func (c *cluster) pods() {
	all, err := c.list(pods, "")
	if err != nil {
		return
	}
	for _, pod := range all {
		place, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName")
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		switch {
		case pod.GetDeletionTimestamp() != nil:
			none := int64(0)
			_ = c.client.Resource(pods).Namespace(pod.GetNamespace()).Delete(context.Background(), pod.GetName(),
				metav1.DeleteOptions{GracePeriodSeconds: &none})
		case place != "" && phase == "Pending":
			c.run(&pod)
		}
	}
}

func (c *cluster) run(pod *unstructured.Unstructured) {
	owners := pod.GetOwnerReferences()
	ends := len(owners) == 1 && owners[0].Kind == "Job"
	if ends {
		c.fill(pod)
	}
	now := time.Now().UTC().Format(time.RFC3339)
	state, phase, ready := map[string]any{"running": map[string]any{"startedAt": now}}, "Running", true
	if ends {
		finished := map[string]any{"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
		state, phase, ready = map[string]any{"terminated": finished}, "Succeeded", false
	}
	containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
	var statuses []any
	for _, container := range containers {
		container, _ := container.(map[string]any)
		statuses = append(statuses, map[string]any{"name": container["name"], "image": container["image"], "imageID": "x",
			"ready": ready, "restartCount": 0, "started": true, "state": state})
	}
	conditions := []any{}
	for _, condition := range []string{"PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "PodScheduled"} {
		conditions = append(conditions, map[string]any{"type": condition, "status": "True", "lastTransitionTime": now})
	}
	text, err := json.Marshal(map[string]any{"status": map[string]any{"phase": phase, "startTime": now,
		"podIP": "10.0.0.1", "podIPs": []any{map[string]any{"ip": "10.0.0.1"}},
		"conditions": conditions, "containerStatuses": statuses}})
	if err == nil {
		_ = c.patch(pods, pod.GetNamespace(), pod.GetName(), string(text), "status")
	}
}

// Fill puts a value into every empty Secret of the namespace, as the jobs do that fill Secrets.
func (c *cluster) fill(pod *unstructured.Unstructured) {
	all, _ := c.list(secrets, pod.GetNamespace())
	for _, secret := range all {
		if data, _, _ := unstructured.NestedMap(secret.Object, "data"); len(data) == 0 {
			_ = c.patch(secrets, secret.GetNamespace(), secret.GetName(), `{"data": {"db-password": "c2VzYW1l"}}`)
		}
	}
}

func (c *cluster) entries() {
	all, _ := c.list(ingresses, "")
	for _, ingress := range all {
		if _, has, _ := unstructured.NestedSlice(ingress.Object, "status", "loadBalancer", "ingress"); !has {
			_ = c.patch(ingresses, ingress.GetNamespace(), ingress.GetName(),
				`{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}`, "status")
		}
	}
}

// Definitions applies Argo CD's resource definitions and waits until they are served.
func (c *cluster) definitions(folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*-crd.yaml"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no definitions in %s: %w", folder, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := c.apply(string(text)); err != nil {
			return err
		}
	}
	return eventually(30, func() error {
		c.mapper.Reset()
		for _, kind := range []string{"Application", "AppProject", "ApplicationSet"} {
			if _, err := c.mapper.RESTMapping(schema.GroupKind{Group: "argoproj.io", Kind: kind}, "v1alpha1"); err != nil {
				return err
			}
		}
		return nil
	})
}

// Eventually waits until something holds, and returns why it does not.
func eventually(seconds int, holds func() error) error {
	var err error
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if err = holds(); err == nil || errors.As(err, &stopped{}) {
			return err
		}
	}
	return fmt.Errorf("after %d s: %w", seconds, err)
}
