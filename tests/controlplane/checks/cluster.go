package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// A cluster is the control plane, by its API and by kubectl.
type cluster struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	// The binary that is kubectl, and the file with its access.
	kubectl, kubeconfig string
}

func connect(kubeconfig, kubectl string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	// The default of 5 requests a second is kind to a cluster that others use too.
	config.QPS, config.Burst = 1000, 1000
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	finder, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		client:     client,
		mapper:     restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(finder)),
		kubectl:    kubectl,
		kubeconfig: kubeconfig,
	}, nil
}

// run calls kubectl. A warning counts as an error: a user would see it at every sync.
func (cluster *cluster) run(stdin []byte, args ...string) error {
	command := exec.Command(cluster.kubectl,
		append([]string{"kubectl", "--kubeconfig", cluster.kubeconfig}, args...)...)
	// Neither settings nor caches of the user's own kubectl.
	command.Env = append(os.Environ(), "HOME="+filepath.Dir(cluster.kubeconfig))
	command.Stdin = bytes.NewReader(stdin)
	var words bytes.Buffer
	command.Stderr = &words
	if err := command.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, words.String())
	}
	if strings.Contains(words.String(), "Warning: ") {
		return fmt.Errorf("kubectl %s: %s", strings.Join(args, " "), words.String())
	}
	return nil
}

func (cluster *cluster) isNamespaced(object *unstructured.Unstructured) (bool, error) {
	mapping, err := cluster.mapping(object)
	if err != nil {
		return false, err
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

func (cluster *cluster) mapping(object *unstructured.Unstructured) (*meta.RESTMapping, error) {
	kind := object.GroupVersionKind()
	return cluster.mapper.RESTMapping(kind.GroupKind(), kind.Version)
}

func (cluster *cluster) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	mapping, err := cluster.mapping(object)
	if err != nil {
		return nil, err
	}
	return cluster.client.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
}

func (cluster *cluster) get(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := cluster.resource(object)
	if err != nil {
		return nil, err
	}
	return resource.Get(context.TODO(), object.GetName(), metav1.GetOptions{})
}

// ensure creates an object unless it is there.
func (cluster *cluster) ensure(object *unstructured.Unstructured) error {
	resource, err := cluster.resource(object)
	if err != nil {
		return err
	}
	_, err = resource.Create(context.TODO(), object, metav1.CreateOptions{})
	if kerrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// ensureNamespace creates a namespace as the controller manager leaves it: with an account for pods.
func (cluster *cluster) ensureNamespace(name, level string) error {
	namespace := newObject("v1", "Namespace", "", name)
	namespace.SetLabels(map[string]string{enforce: level})
	if err := cluster.ensure(namespace); err != nil {
		return err
	}
	return cluster.ensure(newObject("v1", "ServiceAccount", name, "default"))
}

func (cluster *cluster) installDefinitions(folder string) error {
	// Also the place where kubectl is told the namespace of objects that name none: its flag would refuse
	// objects of other namespaces.
	if err := cluster.run(nil, "config", "set-context", "--current", "--namespace", home); err != nil {
		return err
	}
	if err := cluster.run(nil, "apply", "--server-side", "-f", folder); err != nil {
		return err
	}
	return cluster.run(nil, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
}

// preparePodSecurity makes a namespace for each level, and makes sure that they refuse what they must.
func (cluster *cluster) preparePodSecurity() error {
	for _, level := range levels {
		if err := cluster.ensureNamespace(probeNamespace(level), level); err != nil {
			return err
		}
		pod := newObject("v1", "Pod", probeNamespace(level), "privileged")
		pod.Object["spec"] = map[string]any{"containers": []any{map[string]any{
			"name": "main", "image": "none", "securityContext": map[string]any{"privileged": true},
		}}}
		refused, err := cluster.tryPod(pod)
		if err != nil {
			return err
		}
		if (refused == "") != (level == "privileged") {
			return fmt.Errorf("at level %s: refusal %q", level, refused)
		}
	}
	return nil
}

func probeNamespace(level string) string { return "at-level-" + level }

// tryPod creates a pod without keeping it, and returns why Pod Security refuses it, if it does.
func (cluster *cluster) tryPod(pod *unstructured.Unstructured) (refused string, err error) {
	resource, err := cluster.resource(pod)
	if err != nil {
		return "", err
	}
	_, err = resource.Create(context.TODO(), pod, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil && strings.Contains(err.Error(), "violates PodSecurity") {
		return err.Error(), nil
	}
	return "", err
}

// remove deletes what an input has made; the namespaces last, since all others live in them.
func (cluster *cluster) remove(input *input) error {
	var problems []error
	for _, object := range input.objects {
		if object.GetKind() != "Namespace" {
			problems = append(problems, cluster.delete(object))
		}
	}
	for _, namespace := range input.namespaces() {
		problems = append(problems, cluster.delete(newObject("v1", "Namespace", "", namespace)))
	}
	return errors.Join(problems...)
}

// delete removes an object with all that would make a controller, of which there is none, finish that.
func (cluster *cluster) delete(object *unstructured.Unstructured) error {
	resource, err := cluster.resource(object)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = resource.Delete(context.TODO(), object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if err == nil && object.GetKind() == "Namespace" {
		_, err = resource.Update(context.TODO(), object, metav1.UpdateOptions{}, "finalize")
	} else if err == nil {
		_, err = cluster.patch(object, map[string]any{"metadata": map[string]any{"finalizers": nil}})
	}
	if kerrors.IsNotFound(err) {
		return nil
	}
	return err
}

// patch changes an object as a controller would, under a name of its own.
func (cluster *cluster) patch(object *unstructured.Unstructured, change map[string]any, subresource ...string) (*unstructured.Unstructured, error) {
	resource, err := cluster.resource(object)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return resource.Patch(context.TODO(), object.GetName(), types.MergePatchType, text,
		metav1.PatchOptions{FieldManager: "controller"}, subresource...)
}

func newObject(version, kind, namespace, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(version)
	object.SetKind(kind)
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}
