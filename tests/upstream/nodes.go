package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	e2epod "k8s.io/kubernetes/test/e2e/framework/pod"
)

// zones are those of the nodes, one each.
var zones = []string{"a", "b"}

// pretend writes what nodes would write about themselves and their pods. No container runs and nothing is
// mounted: a pod whose containers would end by themselves has ended well at once, and any other runs.
func pretend(ctx context.Context, c kubernetes.Interface) error {
	kubelet := kubelet()
	defer kubelet.Close()
	_, port, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	for _, zone := range zones {
		if err := join(ctx, c, zone, int32(number)); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactory(c, 0)
	look := func(object any) {
		if pod, ok := object.(*v1.Pod); ok {
			if err := attend(ctx, c, pod); err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
				fmt.Println("pod", pod.Namespace, pod.Name, err)
			}
		}
	}
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	return nil
}

// join adds a node that is ready.
func join(ctx context.Context, c kubernetes.Interface, zone string, port int32) error {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: "node-" + zone,
		Labels: map[string]string{
			v1.LabelHostname: "node-" + zone, v1.LabelTopologyZone: zone, v1.LabelOSStable: "linux",
		},
	}}
	if _, err := c.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	has := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("64Gi"),
		v1.ResourcePods: resource.MustParse("200"), v1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	node.Status = v1.NodeStatus{
		Capacity: has, Allocatable: has,
		Conditions:      []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: port}},
	}
	// Not held to a version: Kubernetes' own controllers write on a node as soon as it is there.
	patch, err := json.Marshal(map[string]any{"status": node.Status})
	if err != nil {
		return err
	}
	_, err = c.CoreV1().Nodes().PatchStatus(ctx, node.Name, patch)
	return err
}

// kubelet serves the one log that a spec reads: that of its NFS server.
func kubelet() *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "NFS started")
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	return server
}

// attend writes in a pod's status what its node would.
func attend(ctx context.Context, c kubernetes.Interface, pod *v1.Pod) error {
	pods := c.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.Spec.NodeName == "":
		return nil
	case pod.DeletionTimestamp != nil:
		return pods.Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
	case pod.Status.Phase != v1.PodPending:
		return nil
	}
	now := metav1.NewTime(time.Now())
	pod = pod.DeepCopy()
	pod.Status.StartTime = &now
	pod.Status.PodIP = "192.0.2.100"
	pod.Status.PodIPs = []v1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Phase = v1.PodRunning
	state, ready := v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}}, v1.ConditionTrue
	if ends(pod) {
		pod.Status.Phase, ready = v1.PodSucceeded, v1.ConditionFalse
		state = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{Reason: "Completed", FinishedAt: now}}
	}
	for _, kind := range []v1.PodConditionType{v1.PodInitialized, v1.ContainersReady, v1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{Type: kind, Status: ready})
	}
	for _, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, v1.ContainerStatus{
			Name: container.Name, Image: container.Image, State: state, Ready: ready == v1.ConditionTrue,
		})
	}
	_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// ends tells whether a pod's containers would end by themselves: not those that are always started again, and not
// those that sleep for ever.
func ends(pod *v1.Pod) bool {
	if pod.Spec.RestartPolicy == v1.RestartPolicyAlways {
		return false
	}
	for _, container := range pod.Spec.Containers {
		if slices.Contains(container.Command, e2epod.InfiniteSleepCommand) {
			return false
		}
	}
	return true
}
