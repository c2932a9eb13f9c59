package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The checks of one input, in the order in which a cluster would see it. Each returns a note on what
// was seen.
var checks = []struct {
	name string
	run  func(*cluster, *input) (string, error)
}{
	{"namespaces are there", makeNamespaces},
	{"dry run is accepted", dryRun},
	{"client-side apply is accepted", applyClientSide},
	{"controllers do their part", actAsControllers},
	{"client-side apply again changes nothing", again(applyClientSide)},
	{"server-side apply is accepted", applyServerSide},
	{"server-side apply again changes nothing", again(applyServerSide)},
	{"pods meet the level of their namespace", podsMeetLevel},
	{"the level is the strictest", levelIsStrictest},
}

// makeNamespaces applies the rendered Namespaces ahead of the rest, since a dry run keeps none to look
// into, and makes those that are taken for granted, with what else a platform brings.
func makeNamespaces(cluster *cluster, input *input) (string, error) {
	rendered := input.ofKind("Namespace")
	for _, namespace := range rendered {
		text, err := yaml.Marshal(namespace.Object)
		if err != nil {
			return "", err
		}
		if err := cluster.run(text, "apply", "--validate=strict", "-f", "-"); err != nil {
			return "", err
		}
	}
	for _, namespace := range input.namespaces() {
		if err := cluster.ensureNamespace(namespace, "baseline"); err != nil {
			return "", err
		}
	}
	for _, pod := range input.pods() {
		class, _, _ := unstructured.NestedString(pod.Object, "spec", "priorityClassName")
		if class == "" || strings.HasPrefix(class, "system-") {
			continue
		}
		if err := cluster.ensure(newObject("scheduling.k8s.io/v1", "PriorityClass", "", class)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d, rendered %d", len(input.namespaces()), len(rendered)), nil
}

func dryRun(cluster *cluster, input *input) (string, error) {
	return apply(cluster, input, "--server-side", "--dry-run=server")
}

func applyClientSide(cluster *cluster, input *input) (string, error) {
	return apply(cluster, input)
}

func applyServerSide(cluster *cluster, input *input) (string, error) {
	return apply(cluster, input, "--server-side")
}

func apply(cluster *cluster, input *input, flags ...string) (string, error) {
	args := append([]string{"apply", "--validate=strict", "-f", "-"}, flags...)
	return fmt.Sprintf("%d objects", len(input.objects)), cluster.run(input.stream, args...)
}

// actAsControllers changes what others own: it fills Secrets that are rendered without data, and scales
// what an autoscaler scales. Applying again must leave that alone.
func actAsControllers(cluster *cluster, input *input) (string, error) {
	filled, scaled := 0, 0
	for _, secret := range input.ofKind("Secret") {
		if secret.Object["data"] != nil || secret.Object["stringData"] != nil {
			continue
		}
		change := map[string]any{"data": map[string]any{"password": "c2VjcmV0"}}
		if _, err := cluster.patch(secret, change); err != nil {
			return "", err
		}
		filled++
	}
	for _, scaler := range input.ofKind("HorizontalPodAutoscaler") {
		target, _, _ := unstructured.NestedStringMap(scaler.Object, "spec", "scaleTargetRef")
		most, _, _ := unstructured.NestedInt64(scaler.Object, "spec", "maxReplicas")
		object := newObject(target["apiVersion"], target["kind"], scaler.GetNamespace(), target["name"])
		change := map[string]any{"spec": map[string]any{"replicas": most}}
		if _, err := cluster.patch(object, change, "scale"); err != nil {
			return "", fmt.Errorf("%s: target: %w", name(scaler), err)
		}
		scaled++
	}
	return fmt.Sprintf("secrets filled: %d, workloads scaled: %d", filled, scaled), nil
}

// again makes a check that something can be done once more without any object changing.
func again(do func(*cluster, *input) (string, error)) func(*cluster, *input) (string, error) {
	return func(cluster *cluster, input *input) (string, error) {
		before, err := snapshot(cluster, input)
		if err != nil {
			return "", err
		}
		note, err := do(cluster, input)
		if err != nil {
			return "", err
		}
		after, err := snapshot(cluster, input)
		if err != nil {
			return "", err
		}
		var changes []string
		for i, object := range input.objects {
			if before[i].GetResourceVersion() != after[i].GetResourceVersion() {
				changes = append(changes, name(object)+":"+strings.Join(difference("", before[i].Object, after[i].Object), ","))
			}
		}
		if len(changes) > 0 {
			return "", errors.New(strings.Join(changes, "; "))
		}
		return note, nil
	}
}

func snapshot(cluster *cluster, input *input) ([]*unstructured.Unstructured, error) {
	var seen []*unstructured.Unstructured
	for _, object := range input.objects {
		found, err := cluster.get(object)
		if err != nil {
			return nil, err
		}
		seen = append(seen, found)
	}
	return seen, nil
}

// difference lists the fields in which two objects differ.
func difference(path string, before, after any) []string {
	old, isMap := before.(map[string]any)
	new, isMapToo := after.(map[string]any)
	if !isMap || !isMapToo {
		if reflect.DeepEqual(before, after) || path == ".metadata.resourceVersion" {
			return nil
		}
		if path == ".metadata.managedFields" {
			return []string{" " + path[1:]}
		}
		return []string{fmt.Sprintf(" %s was %v, is %v", path[1:], before, after)}
	}
	both := maps.Clone(old)
	maps.Copy(both, new)
	var changes []string
	for _, key := range slices.Sorted(maps.Keys(both)) {
		changes = append(changes, difference(path+"."+key, old[key], new[key])...)
	}
	return changes
}

// podsMeetLevel creates the pods as the controllers would, without keeping them.
func podsMeetLevel(cluster *cluster, input *input) (string, error) {
	pods := input.pods()
	for _, pod := range pods {
		refused, err := cluster.tryPod(pod)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name(pod), err)
		}
		if refused != "" {
			return "", fmt.Errorf("%s: %s", name(pod), refused)
		}
	}
	return fmt.Sprintf("%d pods", len(pods)), nil
}

// levelIsStrictest makes sure that of each rendered Namespace some pod would be refused at the next
// stricter level.
func levelIsStrictest(cluster *cluster, input *input) (string, error) {
	notes := []string{}
	for _, namespace := range input.ofKind("Namespace") {
		claimed := namespace.GetLabels()[enforce]
		level := slices.Index(levels, claimed)
		if level < 0 {
			return "", fmt.Errorf("%s has %q as its label %s", name(namespace), claimed, enforce)
		}
		if level+1 < len(levels) {
			refused, err := anyRefused(cluster, input, namespace.GetName(), levels[level+1])
			if err != nil {
				return "", err
			}
			if !refused {
				return "", fmt.Errorf("%s claims %s, but every pod meets %s", name(namespace), claimed, levels[level+1])
			}
		}
		notes = append(notes, namespace.GetName()+" "+claimed)
	}
	if len(notes) == 0 {
		return "no Namespace is rendered", nil
	}
	return strings.Join(notes, ", "), nil
}

func anyRefused(cluster *cluster, input *input, namespace, level string) (bool, error) {
	for _, pod := range input.pods() {
		if pod.GetNamespace() != namespace {
			continue
		}
		pod.SetNamespace(probeNamespace(level))
		// Of the app's accounts there is none in this namespace.
		unstructured.RemoveNestedField(pod.Object, "spec", "serviceAccountName")
		refused, err := cluster.tryPod(pod)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name(pod), err)
		}
		if refused != "" {
			return true, nil
		}
	}
	return false, nil
}
