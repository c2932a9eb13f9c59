package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

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
	for _, name := range []string{"root", "storage", "cloud", "files", "scratch", "team"} {
		if !names[name] {
			wrong = append(wrong, name+" is not there")
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
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

// OnlyStatus tells what controllers write into a status by themselves from what a sync writes: that of an autoscaler, since
// there are no metrics, and that of a CronJob, at the minute of its schedule.
func onlyStatus(before, after *unstructured.Unstructured) bool {
	if kind := before.GetKind(); kind != "HorizontalPodAutoscaler" && kind != "CronJob" {
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

// Stopped is an error that waiting does not mend.
type stopped struct{ error }
