package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strings"
	"time"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/batch"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/util/parsers"
	"sigs.k8s.io/yaml"
	// The zones that kube-apiserver and kube-controller-manager carry.
	_ "time/tzdata"
)

// A rule of Kubernetes without a value.
type rule func(text string) bool

func (rule rule) verdict(text string) (bool, string) { return rule(text), "" }

// A rule that Kubernetes has as a function from a text to complaints.
func none(complaints func(string) []string) rule {
	return func(text string) bool { return len(complaints(text)) == 0 }
}

// Whether nothing was found at a field. What else a small object lacks does not matter here.
func fine(found field.ErrorList, at string) bool {
	for _, one := range found {
		if one.Field == at {
			return false
		}
	}
	return true
}

func cronJob(schedule string, zone *string) field.ErrorList {
	return batchvalidation.ValidateCronJobCreate(&batch.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "a"},
		Spec:       batch.CronJobSpec{Schedule: schedule, TimeZone: zone},
	}, corevalidation.PodValidationOptions{})
}

func cronSchedule(text string) bool { return fine(cronJob(text, nil), "spec.schedule") }

func timeZone(text string) bool { return fine(cronJob("0 0 * * *", &text), "spec.timeZone") }

// The kubelet reads the image as well, and the API server refuses spaces around it.
func image(text string) bool {
	_, _, _, err := parsers.ParseImageName(text)
	return err == nil && text == strings.TrimSpace(text)
}

// Bytes or other whole units, and thousandths, both rounded up.
func quantity(text string) (bool, string) {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return false, ""
	}
	return true, rounded(quantity, 0) + "\t" + rounded(quantity, 3)
}

func rounded(quantity resource.Quantity, digits int) string {
	amount := new(inf.Dec).Set(quantity.AsDec())
	if scale := amount.Scale(); scale < -100 || scale > 100 {
		return "far"
	}
	scaled := new(inf.Dec).Mul(amount, inf.NewDecBig(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil), 0))
	return new(inf.Dec).Round(scaled, 0, inf.RoundCeil).UnscaledBig().String()
}

func amount(name core.ResourceName) rule {
	return func(text string) bool {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return false
		}
		requirements := &core.ResourceRequirements{Limits: core.ResourceList{name: quantity}}
		found := corevalidation.ValidateContainerResourceRequirements(
			requirements, nil, field.NewPath(""), corevalidation.PodValidationOptions{})
		return len(found) == 0
	}
}

func claimSize(text string) bool {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return false
	}
	found := corevalidation.ValidatePersistentVolumeClaimSpec(&core.PersistentVolumeClaimSpec{
		AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteMany},
		Resources:   core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: quantity}},
	}, field.NewPath("spec"), corevalidation.PersistentVolumeClaimSpecValidationOptions{})
	return len(found) == 0
}

func duration(text string) (bool, string) {
	var read metav1.Duration
	quoted, err := json.Marshal(text)
	if err != nil || read.UnmarshalJSON(quoted) != nil {
		return false, ""
	}
	return true, fmt.Sprint(int64(read.Duration / time.Nanosecond))
}

func labelKey(text string) bool {
	return len(metavalidation.ValidateLabels(map[string]string{text: ""}, field.NewPath("labels"))) == 0
}

func labelValue(text string) bool {
	return len(metavalidation.ValidateLabels(map[string]string{"a": text}, field.NewPath("labels"))) == 0
}

func annotationKey(text string) bool {
	return len(apimachinery.ValidateAnnotations(map[string]string{text: ""}, field.NewPath("annotations"))) == 0
}

func serviceName(text string) bool {
	return fine(corevalidation.ValidateServiceCreate(&core.Service{
		ObjectMeta: metav1.ObjectMeta{Name: text, Namespace: "a"},
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeClusterIP, SessionAffinity: core.ServiceAffinityNone,
			Ports: []core.ServicePort{{Port: 80, Protocol: core.ProtocolTCP, TargetPort: intstr.FromInt32(80)}},
		},
	}), "metadata.name")
}

func ingress(rules []networking.IngressRule, tls []networking.IngressTLS) field.ErrorList {
	return networkvalidation.ValidateIngressCreate(&networking.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "a"},
		Spec:       networking.IngressSpec{Rules: rules, TLS: tls},
	})
}

func ingressHost(text string) bool {
	return fine(ingress([]networking.IngressRule{{Host: text}}, nil), "spec.rules[0].host")
}

func certificateHost(text string) bool {
	return fine(ingress(nil, []networking.IngressTLS{{Hosts: []string{text}}}), "spec.tls[0].hosts[0]")
}

func address(text string) bool {
	found := corevalidation.ValidateHostAliases(
		[]core.HostAlias{{IP: text, Hostnames: []string{"a"}}}, field.NewPath("hostAliases"))
	return len(found) == 0
}

func network(text string) bool {
	found := networkvalidation.ValidateIPBlock(
		&networking.IPBlock{CIDR: text}, field.NewPath("ipBlock"), networkvalidation.NetworkPolicyValidationOptions{})
	return len(found) == 0
}

func variable(text string) bool {
	// As the API server sets it: the gate is locked.
	options := corevalidation.PodValidationOptions{AllowRelaxedEnvironmentVariableValidation: true}
	return len(corevalidation.ValidateEnv([]core.EnvVar{{Name: text}}, field.NewPath("env"), options)) == 0
}

func configKey(text string) bool {
	return len(corevalidation.ValidateConfigMap(&core.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "a"}, Data: map[string]string{text: ""},
	})) == 0
}

func nfs(server, path string) bool {
	volume := core.Volume{Name: "a", VolumeSource: core.VolumeSource{NFS: &core.NFSVolumeSource{Server: server, Path: path}}}
	_, found := corevalidation.ValidateVolumes(
		[]core.Volume{volume}, &metav1.ObjectMeta{}, field.NewPath("volumes"), corevalidation.PodValidationOptions{})
	return len(found) == 0
}

func nfsServer(text string) bool { return nfs(text, "/a") }

func nfsPath(text string) bool { return nfs("a", text) }

// A text of the Gateway API, whose rules are in the schema of its resource definition.
type schema struct {
	Pattern              string
	MinLength, MaxLength *int
}

func (schema schema) rule() rule {
	pattern := regexp.MustCompile(schema.Pattern)
	return func(text string) bool {
		length := len([]rune(text))
		return pattern.MatchString(text) && (schema.MinLength == nil || length >= *schema.MinLength) &&
			(schema.MaxLength == nil || length <= *schema.MaxLength)
	}
}

// Returns the schemas of a host name and of a duration in an HTTPRoute.
func routeSchemas(path string) (host, timeout schema, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return host, timeout, err
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema struct {
						Properties struct {
							Spec struct{ Properties map[string]any }
						}
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return host, timeout, err
	}
	for _, version := range definition.Spec.Versions {
		if version.Name != "v1" {
			continue
		}
		spec := version.Schema.OpenAPIV3Schema.Properties.Spec.Properties
		if err := decode(within(spec, "hostnames", "items"), &host); err != nil {
			return host, timeout, err
		}
		err := decode(within(spec, "rules", "items", "properties", "timeouts", "properties", "request"), &timeout)
		return host, timeout, err
	}
	return host, timeout, fmt.Errorf("%s: no version v1", path)
}

func within(node any, steps ...string) any {
	for _, step := range steps {
		inner, _ := node.(map[string]any)
		node = inner[step]
	}
	return node
}

func decode(node any, into *schema) error {
	text, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return err
	}
	if into.Pattern == "" {
		return fmt.Errorf("no pattern in %s", text)
	}
	return nil
}

var (
	portName = none(validation.IsValidPortName)
	label    = none(validation.IsDNS1123Label)
	domain   = none(validation.IsDNS1123Subdomain)
	oldName  = none(validation.IsDNS1035Label)
)
