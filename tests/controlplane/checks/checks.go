package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The checks of one input, in the order in which a cluster would see it. Each returns a note on what
// was seen. Some file in refused/ fails each that is called proven: the others only prepare what comes
// next, or differ by no more than a flag from one that is.
var checks = []struct {
	name   string
	run    func(*cluster, *input) (string, error)
	proven bool
}{
	{"namespaces are there", makeNamespaces, false},
	{"dry run is accepted", dryRun, true},
	{"client-side apply is accepted", applyClientSide, true},
	{"controllers do their part", actAsControllers, false},
	{"client-side apply again changes nothing", again(applyClientSide), true},
	{"server-side apply is accepted", applyServerSide, true},
	{"server-side apply again changes nothing", again(applyServerSide), false},
	{"pods meet the level of their namespace", podsMeetLevel, true},
	{"the level is the strictest", levelIsStrictest, true},
}

// makeNamespaces applies the rendered Namespaces ahead of the rest, since a dry run keeps none to look
// into, and makes those that are taken for granted, with what else a platform brings.
func makeNamespaces(cluster *cluster, input *input) (string, error) {
	rendered := len(input.ofKind("Namespace"))
	if rendered > 0 {
		for _, flags := range [][]string{{"--server-side", "--dry-run=server"}, {}} {
			if err := apply(cluster, input.stream(isNamespace), flags...); err != nil {
				return "", err
			}
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
	return fmt.Sprintf("%d, rendered %d", len(input.namespaces()), rendered), nil
}

// dryRun leaves out the Namespaces: they have been through it.
func dryRun(cluster *cluster, input *input) (string, error) {
	rest := input.stream(func(object *unstructured.Unstructured) bool { return !isNamespace(object) })
	if len(rest) == 0 {
		return "nothing but Namespaces", nil
	}
	return input.size(), apply(cluster, rest, "--server-side", "--dry-run=server")
}

func applyClientSide(cluster *cluster, input *input) (string, error) {
	return input.size(), apply(cluster, input.stream(all))
}

func applyServerSide(cluster *cluster, input *input) (string, error) {
	return input.size(), apply(cluster, input.stream(all), "--server-side")
}

func all(*unstructured.Unstructured) bool { return true }

func apply(cluster *cluster, stream []byte, flags ...string) error {
	return cluster.run(stream, append([]string{"apply", "--validate=strict", "-f", "-"}, flags...)...)
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
	count := map[string]int{}
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
		count[claimed]++
	}
	notes := []string{}
	for _, level := range levels {
		notes = append(notes, fmt.Sprintf("%s: %d", level, count[level]))
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
