package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// AsInCluster turns the document of the simulated arrays into one whose tokens and certificate are in a Secret, and
// puts what the Secret holds into a folder of its name, as a kubelet would.
func asInCluster(path, secrets string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var document struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return "", err
	}
	const secret = "arrays"
	if err := os.MkdirAll(filepath.Join(secrets, secret), 0o700); err != nil {
		return "", err
	}
	list, _ := document.Spec["arrays"].([]any)
	for _, item := range list {
		array, _ := item.(map[string]any)
		for key, name := range map[string]string{"token": fmt.Sprint(array["name"]), "ca": "ca.pem"} {
			from, _ := array[key].(map[string]any)
			content, err := os.ReadFile(filepath.Join(filepath.Dir(path), fmt.Sprint(from["file"])))
			if err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(secrets, secret, name), content, 0o600); err != nil {
				return "", err
			}
			array[key] = map[string]any{"secret": secret, "key": name}
		}
	}
	document.Metadata["name"] = "pso"
	document.Spec["provisioner"] = map[string]any{"image": "registry.example.com/pso-gen:0.1.0"}
	text, err = yaml.Marshal(document)
	return string(text), err
}

// Provisioner starts it as the Deployment that Argo CD has synced would: with its arguments, its document and the
// token of its account, whose writes the admission policies check. One that runs is ended.
func (w *whole) provisioner() error {
	const namespace = "pso-system"
	get := func(resource schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
		return w.client.Resource(resource).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
	}
	var deployment *unstructured.Unstructured
	if err := eventually(120, func() (err error) {
		deployment, err = get(deployments, "pso-gen-provisioner")
		return err
	}); err != nil {
		return err
	}
	pod, _, _ := unstructured.NestedMap(deployment.Object, "spec", "template", "spec")
	containers, _ := pod["containers"].([]any)
	volumes, _ := pod["volumes"].([]any)
	if len(containers) != 1 {
		return fmt.Errorf("the provisioner has %d containers", len(containers))
	}
	arguments, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	document := filepath.Join(w.folder, "mounted.pso.yaml")
	for _, volume := range volumes {
		name, found, _ := unstructured.NestedString(volume.(map[string]any), "configMap", "name")
		if !found {
			continue
		}
		settings, err := get(configMaps, name)
		if err != nil {
			return err
		}
		text, _, _ := unstructured.NestedString(settings.Object, "data", "storage.pso.yaml")
		if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(document); err != nil {
		return errors.New("the provisioner mounts no storage document")
	}
	places := strings.NewReplacer("/etc/pso-gen/storage/storage.pso.yaml", document,
		"/etc/pso-gen/secrets", filepath.Join(w.folder, "secrets"), "0.0.0.0:8080", "127.0.0.1:0")
	for at := range arguments {
		arguments[at] = places.Replace(arguments[at])
	}
	account, _ := pod["serviceAccountName"].(string)
	own := filepath.Join(w.folder, "provisioner.kubeconfig")
	if err := w.kubeconfigOf(namespace, account, own); err != nil {
		return err
	}
	w.servers.end("provisioner")
	program := filepath.Join(w.folder, "bin", "pso-gen")
	return w.servers.run("provisioner", w.folder, os.Environ(), program, append(arguments, "--kubeconfig", own)...)
}

// KubeconfigOf writes a kubeconfig with a token of a ServiceAccount.
func (w *whole) kubeconfigOf(namespace, account, path string) error {
	request := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"metadata": map[string]any{"name": account}, "spec": map[string]any{},
	}}
	answer, err := w.client.Resource(serviceAccounts).Namespace(namespace).Create(context.Background(), request,
		metav1.CreateOptions{}, "token")
	if err != nil {
		return err
	}
	token, found, _ := unstructured.NestedString(answer.Object, "status", "token")
	if !found {
		return fmt.Errorf("the account %s has no token", account)
	}
	config, err := clientcmd.LoadFromFile(w.kubeconfig)
	if err != nil {
		return err
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &api.AuthInfo{Token: token}
	}
	return clientcmd.WriteToFile(*config, path)
}
