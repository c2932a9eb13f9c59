package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// One cluster that is known by a name and a label, with a layer and a storage document of its own.
func (w *whole) clusters(given Given) error {
	if err := os.RemoveAll(filepath.Join(w.repository, "apps")); err != nil {
		return err
	}
	if err := write(w.repository, map[string]string{
		"apps/lab/pso.yaml":             "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {name: lab}\n",
		"environments/prod.yaml":        "spec: {replicas: 5}\n",
		"storage/prod/storage.pso.yaml": w.storage,
	}); err != nil {
		return err
	}
	if _, err := commit(w.repository); err != nil {
		return err
	}
	lab, err := w.team(given, "lab")
	if err == nil {
		err = w.apply(lab)
	}
	if err != nil {
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
	// The one before it has lost its account with the storage Application.
	if err := w.provisioner(); err != nil {
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
	command := exec.Command(given.generator, "render", "apps/lab", "--namespace", "lab", "--out", "manifests/lab")
	command.Dir, command.Env = w.repository, append(os.Environ(), "PSO_GEN_TENANT_RULES={}")
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
		err = eventually(120, func() error {
			refresh := `{"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}`
			if err := w.patch(applicationsets, "argocd", "apps", refresh); err != nil {
				return err
			}
			_, err := w.client.Resource(applications).Namespace("argocd").Get(context.Background(), "lab", metav1.GetOptions{})
			return err
		})
	}
	if err == nil {
		// Its claim waits: the storage document is gone.
		err = w.synced("lab", false)
	}
	if err != nil {
		return err
	}
	return w.remove(applicationsets, "apps")
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
