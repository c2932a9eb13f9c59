package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Repository makes one of files and returns its address.
func (s *suite) repository(files map[string]string) (string, error) {
	s.number++
	folder := filepath.Join(s.servers.Folder, fmt.Sprintf("repository-%d", s.number))
	if err := write(folder, files); err != nil {
		return "", err
	}
	return commit(folder)
}

func plugin(name string) *argo.ApplicationSourcePlugin {
	return &argo.ApplicationSourcePlugin{Name: name}
}

func text(name, value string) argo.ApplicationSourcePluginParameter {
	return argo.ApplicationSourcePluginParameter{Name: name, String_: &value}
}

func list(name string, values ...string) argo.ApplicationSourcePluginParameter {
	return argo.ApplicationSourcePluginParameter{Name: name, OptionalArray: &argo.OptionalArray{Array: values}}
}

func mapping(name string, values map[string]string) argo.ApplicationSourcePluginParameter {
	return argo.ApplicationSourcePluginParameter{Name: name, OptionalMap: &argo.OptionalMap{Map: values}}
}

// Generate asks the repository server as the controller does after a hard refresh.
func (s *suite) generate(address, path, namespace string, plugin *argo.ApplicationSourcePlugin, seconds int) (map[string]map[string]any, error) {
	context, cancel := within(seconds)
	defer cancel()
	response, err := s.servers.client.GenerateManifest(context, &apiclient.ManifestRequest{
		Repo: &argo.Repository{Repo: address}, Revision: "main", NoCache: true, NoRevisionCache: true,
		AppName: "demo", Namespace: namespace, ProjectName: "default", ProjectSourceRepos: []string{"*"},
		AppLabelKey: "app.kubernetes.io/instance", TrackingMethod: "annotation",
		ApplicationSource: &argo.ApplicationSource{RepoURL: address, Path: path, TargetRevision: "main", Plugin: plugin},
		KubeVersion:       "1.37.2", ApiVersions: []string{"v1", "apps/v1"},
	})
	if err != nil {
		return nil, err
	}
	objects := map[string]map[string]any{}
	for _, manifest := range response.Manifests {
		var object unstructured.Unstructured
		if err := json.Unmarshal([]byte(manifest), &object.Object); err != nil {
			return nil, err
		}
		objects[key(&object)] = object.Object
	}
	if len(objects) != len(response.Manifests) {
		return nil, errors.New("two objects of one name")
	}
	return objects, nil
}

func key(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetNamespace() + "/" + object.GetName()
}

// Rendered is what the program prints without Argo CD.
func (s *suite) rendered(folder, namespace string, more ...string) (map[string]map[string]any, error) {
	command := exec.Command(s.given.generator, append([]string{"render", "--namespace", namespace, "."}, more...)...)
	command.Dir = folder
	output, err := command.Output()
	if err != nil {
		return nil, err
	}
	objects := map[string]map[string]any{}
	decoder := kubeyaml.NewYAMLOrJSONDecoder(strings.NewReader(string(output)), 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); err != nil {
			break
		}
		objects[key(&object)] = object.Object
	}
	return objects, nil
}

// Without takes away what Argo CD adds: its mark, on everything but definitions.
func without(objects map[string]map[string]any) (map[string]map[string]any, error) {
	for name, content := range objects {
		object := unstructured.Unstructured{Object: content}
		annotations := object.GetAnnotations()
		if !strings.HasPrefix(annotations["argocd.argoproj.io/tracking-id"], "demo:") {
			return nil, fmt.Errorf("%s is not tracked", name)
		}
		delete(annotations, "argocd.argoproj.io/tracking-id")
		if len(annotations) == 0 {
			annotations = nil
		}
		object.SetAnnotations(annotations)
	}
	return objects, nil
}

func same(ours, theirs map[string]map[string]any) error {
	if len(ours) == 0 || len(ours) != len(theirs) {
		return fmt.Errorf("%d objects through Argo CD, %d on a laptop", len(theirs), len(ours))
	}
	for name, object := range ours {
		a, _ := yaml.Marshal(object)
		b, _ := yaml.Marshal(theirs[name])
		if string(a) != string(b) {
			return fmt.Errorf("%s differs:\n%s\n%s", name, a, b)
		}
	}
	return nil
}

// What changes from run to run and from machine to machine.
var changing = regexp.MustCompile(`/[^ :]*/argocd-\d+`)

// Golden holds a text against the one that was reviewed.
func (s *suite) golden(name, found string) error {
	found = changing.ReplaceAllString(found, "FOLDER")
	path := filepath.Join(s.given.golden, name)
	if s.given.update {
		return os.WriteFile(path, []byte(found), 0o644)
	}
	reviewed, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(reviewed) == found {
		return nil
	}
	theirs, ours := strings.Split(string(reviewed), "\n"), strings.Split(found, "\n")
	sort.Strings(theirs)
	for _, line := range ours {
		if at := sort.SearchStrings(theirs, line); at == len(theirs) || theirs[at] != line {
			return fmt.Errorf("%s is not as reviewed (--update writes it anew); new is: %s", name, line)
		}
	}
	return fmt.Errorf("%s is not as reviewed: it has fewer lines", name)
}

func (s *suite) copied() (string, error) {
	folder := filepath.Join(s.servers.Folder, "examples")
	if err := os.CopyFS(folder, os.DirFS(s.given.examples)); err != nil {
		return "", err
	}
	return commit(folder)
}
