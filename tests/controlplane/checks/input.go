package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// levels of the Pod Security Standards, from lax to strict.
var levels = []string{"privileged", "baseline", "restricted"}

const enforce = "pod-security.kubernetes.io/enforce"

// home is the namespace of objects that name none.
const home = "without-namespace"

// An input is what one file or folder renders.
type input struct {
	objects []*unstructured.Unstructured
	// The text of each object as it is rendered: reading it has lost what a strict reader minds.
	texts [][]byte
}

// load renders app files, or reads manifests as they are.
func load(cluster *cluster, generator, path string) (*input, error) {
	files, apps, err := find(path)
	if err != nil {
		return nil, err
	}
	var stream []byte
	if apps {
		command := exec.Command(generator, "render", path)
		var words bytes.Buffer
		command.Stderr = &words
		if stream, err = command.Output(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, words.String())
		}
	} else {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			stream = append(append(stream, "\n---\n"...), text...)
		}
	}

	loaded := &input{}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		// A key that is there twice passes kubectl, which keeps one of them.
		if err := strict.UnmarshalStrict(text, &map[string]any{}); err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		namespaced, err := cluster.isNamespaced(object)
		if err != nil {
			return nil, err
		}
		if namespaced && object.GetNamespace() == "" {
			object.SetNamespace(home)
		}
		if slices.ContainsFunc(loaded.objects, func(other *unstructured.Unstructured) bool {
			return name(other) == name(object)
		}) {
			return nil, fmt.Errorf("%s is there twice", name(object))
		}
		loaded.objects = append(loaded.objects, object)
		loaded.texts = append(loaded.texts, text)
	}
	if len(loaded.objects) == 0 {
		return nil, errors.New("no objects")
	}
	return loaded, nil
}

// find lists the YAML files of an input, and tells whether they are apps.
func find(path string) (files []string, apps bool, err error) {
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if base := filepath.Base(file); base == "pso.yaml" || strings.HasSuffix(base, ".pso.yaml") {
			apps = true
		}
		if extension := filepath.Ext(file); extension == ".yaml" || extension == ".yml" || file == path {
			files = append(files, file)
		}
		return nil
	})
	return files, apps, err
}

func name(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

func (input *input) ofKind(kind string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(input.objects), func(object *unstructured.Unstructured) bool {
		return object.GetKind() != kind
	})
}

// stream is the text of the objects that are picked.
func (input *input) stream(pick func(*unstructured.Unstructured) bool) []byte {
	var texts [][]byte
	for i, object := range input.objects {
		if pick(object) {
			texts = append(texts, input.texts[i])
		}
	}
	return bytes.Join(texts, []byte("\n---\n"))
}

func (input *input) size() string { return fmt.Sprintf("%d objects", len(input.objects)) }

func isNamespace(object *unstructured.Unstructured) bool { return object.GetKind() == "Namespace" }

// namespaces lists those that are rendered and those that objects live in.
func (input *input) namespaces() []string {
	var names []string
	for _, object := range input.objects {
		if object.GetKind() == "Namespace" {
			names = append(names, object.GetName())
		} else if object.GetNamespace() != "" {
			names = append(names, object.GetNamespace())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pods makes a Pod of every pod template, as the controllers would.
func (input *input) pods() []*unstructured.Unstructured {
	var pods []*unstructured.Unstructured
	for _, object := range input.objects {
		var path []string
		switch object.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet", "Job":
			path = []string{"spec", "template"}
		case "CronJob":
			path = []string{"spec", "jobTemplate", "spec", "template"}
		default:
			continue
		}
		template, _, _ := unstructured.NestedMap(object.Object, path...)
		pod := &unstructured.Unstructured{Object: template}
		pod.SetAPIVersion("v1")
		pod.SetKind("Pod")
		pod.SetNamespace(object.GetNamespace())
		pod.SetName(object.GetName() + "-" + strings.ToLower(object.GetKind()))
		addClaims(pod, object)
		pods = append(pods, pod)
	}
	return pods
}

// addClaims gives a pod the volumes that a StatefulSet's claim templates stand for.
func addClaims(pod, set *unstructured.Unstructured) {
	claims, _, _ := unstructured.NestedSlice(set.Object, "spec", "volumeClaimTemplates")
	volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
	for _, claim := range claims {
		claim, _, _ := unstructured.NestedString(claim.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{
			"name":                  claim,
			"persistentVolumeClaim": map[string]any{"claimName": claim + "-" + set.GetName() + "-0"},
		})
	}
	if len(volumes) > 0 {
		_ = unstructured.SetNestedSlice(pod.Object, volumes, "spec", "volumes")
	}
}
