package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
