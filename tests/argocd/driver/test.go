package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A suite is what all cases share.
type suite struct {
	given   Given
	servers *Servers
	number  int
	failed  int
}

const nextcloud = `apiVersion: pso-gen.io/v1alpha1
kind: NextCloud
metadata: {name: nc}
spec:
  host: cloud.example.com
`

const sleeper = `apiVersion: argoproj.io/v1alpha1
kind: ConfigManagementPlugin
metadata: {name: sleeper}
spec: {generate: {command: [/bin/sleep, "100"]}}
`

func test(given Given, only []string) error {
	folder, err := room(given)
	if err != nil {
		return err
	}
	shipped, err := os.ReadFile(given.plugin)
	if err != nil {
		return err
	}
	// The variant of the documentation.
	discovering := strings.Replace(string(shipped), "name: pso-gen\n", "name: discovering\n", 1) +
		"  discover:\n    find:\n      glob: \"**/*pso.yaml\"\n"
	bin := filepath.Join(folder, "bin")
	ours := Plugin{Name: "pso-gen", Config: string(shipped), Path: bin}
	if given.sidecar != "" {
		ours.Command, ours.Root = []string{given.sidecar, filepath.Join(folder, "argocd")}, true
	}
	servers, err := start(filepath.Join(folder, "argocd"), folder, []Plugin{
		ours, {Name: "sleeper", Config: sleeper, Path: bin},
		{Name: "discovering", Config: discovering, Path: bin},
	})
	if err != nil {
		return err
	}
	defer servers.stop()
	s := &suite{given: given, servers: servers}
	cases := []struct {
		name string
		run  func() error
	}{
		{"examples", s.examples},
		{"parameters-announced", s.announced},
		{"parameters-set", s.set},
		{"variables", s.variables},
		{"files-of-the-repository", s.files},
		{"errors", s.errors},
		{"nothing", s.nothing},
		{"hostile", s.hostile},
		{"deadline", s.deadline},
		{"discovery", s.discovery},
		{"hundred-apps", s.hundred},
		{"a-thousand-apps-in-one", s.thousand},
	}
	for _, c := range cases {
		if len(only) > 0 && !slices.Contains(only, c.name) {
			continue
		}
		began := time.Now()
		if err := c.run(); err != nil {
			s.failed++
			fmt.Printf("FAIL %s: %v\n", c.name, err)
			continue
		}
		fmt.Printf("ok %s (%.1f s)\n", c.name, time.Since(began).Seconds())
	}
	if s.failed > 0 {
		return fmt.Errorf("%d cases failed; logs are in %s", s.failed, folder)
	}
	// A container has mounts in it as long as it runs.
	servers.stop()
	return os.RemoveAll(folder)
}

// Every folder of the examples becomes what it becomes on a laptop.
func (s *suite) examples() error {
	address, err := s.copied()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(s.given.examples)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		folder := filepath.Join(s.given.examples, entry.Name())
		if found, _ := filepath.Glob(filepath.Join(folder, "*pso.yaml")); len(found) == 0 {
			continue
		}
		objects, err := s.generate(address, entry.Name(), "team", plugin("pso-gen"), 60)
		if err == nil {
			objects, err = without(objects)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
		rendered, err := s.rendered(folder, "team")
		if err != nil {
			return err
		}
		if err := same(rendered, objects); err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
		fmt.Printf("   %s: %d objects\n", entry.Name(), len(objects))
	}
	return nil
}

// The parameters as the user interface receives them.
func (s *suite) announced() error {
	for name, app := range map[string]string{
		"nextcloud": nextcloud,
		"owncloud":  "apiVersion: pso-gen.io/v1alpha1\nkind: OwnCloud\nmetadata: {name: oc}\nspec: {host: files.example.com}\n",
		"scratch":   "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nspec: {ticket: INC-4711}\n",
	} {
		address, err := s.repository(map[string]string{"app/pso.yaml": app})
		if err != nil {
			return err
		}
		context, cancel := within(30)
		defer cancel()
		details, err := s.servers.client.GetAppDetails(context, &apiclient.RepoServerAppDetailsQuery{
			Repo: &argo.Repository{Repo: address}, AppName: "demo", NoCache: true, NoRevisionCache: true,
			Source: &argo.ApplicationSource{RepoURL: address, Path: "app", TargetRevision: "main", Plugin: plugin("pso-gen")},
		})
		if err != nil {
			return err
		}
		if details.Type != "Plugin" {
			return fmt.Errorf("a source of type %s", details.Type)
		}
		var lines []string
		for _, p := range details.Plugin.ParametersAnnouncement {
			if p.Name == "" || p.Title == "" || p.Tooltip == "" {
				return fmt.Errorf("%s: without name, title or tooltip: %v", name, p)
			}
			if !slices.Contains([]string{"string", "number", "boolean"}, p.ItemType) ||
				!slices.Contains([]string{"string", "array", "map"}, p.CollectionType) {
				return fmt.Errorf("%s: %s is a %s of %s", name, p.Name, p.CollectionType, p.ItemType)
			}
			line, err := json.Marshal(p)
			if err != nil {
				return err
			}
			lines = append(lines, string(line))
		}
		if err := s.golden("parameters-"+name+".jsonl", strings.Join(lines, "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// What is set in the Application acts like --set.
func (s *suite) set() error {
	address, err := s.repository(map[string]string{"app/pso.yaml": nextcloud})
	if err != nil {
		return err
	}
	ours := plugin("pso-gen")
	ours.Parameters = argo.ApplicationSourcePluginParameters{
		text("spec.replicas", "3"), text("spec.redis", "true"), text("spec.admin", "007"),
		list("spec.hosts", "a.example.com", "b.example.com"), mapping("spec.config", map[string]string{"loglevel": "2"}),
		text("spec.volumes.db.class", "pure-file"), text("spec.volumes.data.snapshots", "{every: 1h, keep: 3}"),
	}
	objects, err := s.generate(address, "app", "team", ours, 30)
	if err == nil {
		objects, err = without(objects)
	}
	if err != nil {
		return err
	}
	rendered, err := s.rendered(strings.TrimPrefix(address, "file://")+"/app", "team",
		"--set", "spec.replicas=3", "--set", "spec.redis=true", "--set", "spec.admin=\"007\"",
		"--set", "spec.hosts=[a.example.com, b.example.com]", "--set", "spec.config={loglevel: 2}",
		"--set", "spec.volumes.db.class=pure-file", "--set", "spec.volumes.data.snapshots={every: 1h, keep: 3}")
	if err != nil {
		return err
	}
	return same(rendered, objects)
}

func (s *suite) variables() error {
	address, err := s.repository(map[string]string{"app/pso.yaml": nextcloud})
	if err != nil {
		return err
	}
	ours := plugin("pso-gen")
	ours.Env = argo.Env{{Name: "REPLICAS", Value: "2"}, {Name: "VOLUMES_DB", Value: "pure-file"},
		{Name: "HOST", Value: "$ARGOCD_APP_NAME.example.com"}}
	objects, err := s.generate(address, "app", "team", ours, 30)
	if err == nil {
		objects, err = without(objects)
	}
	if err != nil {
		return err
	}
	rendered, err := s.rendered(strings.TrimPrefix(address, "file://")+"/app", "team", "--set", "spec.replicas=2",
		"--set", "spec.volumes.db=pure-file", "--set", "spec.host=demo.example.com")
	if err != nil {
		return err
	}
	return same(rendered, objects)
}

func (s *suite) files() error {
	address, err := s.repository(map[string]string{
		"apps/nc/pso.yaml":             nextcloud,
		"environments/production.yaml": "spec: {replicas: 2}\n",
		"apps/all.yaml":                "spec: {workers: 50}\n",
	})
	if err != nil {
		return err
	}
	ours := plugin("pso-gen")
	ours.Parameters = argo.ApplicationSourcePluginParameters{list("layers", "/environments/production.yaml", "../all.yaml")}
	objects, err := s.generate(address, "apps/nc", "team", ours, 30)
	if err == nil {
		objects, err = without(objects)
	}
	if err != nil {
		return err
	}
	folder := strings.TrimPrefix(address, "file://") + "/apps/nc"
	rendered, err := s.rendered(folder, "team", "-f", "../../environments/production.yaml", "-f", "../all.yaml")
	if err != nil {
		return err
	}
	return same(rendered, objects)
}

// Errors, as an Application's condition shows them behind Argo CD's own words.
func (s *suite) errors() error {
	address, err := s.repository(map[string]string{
		"slip/pso.yaml":  strings.Replace(nextcloud, "host:", "hots:", 1),
		"value/pso.yaml": nextcloud + "  replicas: many\n  volumes: {data: 15 TB}\n",
		"yaml/pso.yaml":  nextcloud + "  hosts: [a\n",
		"rule/pso.yaml":  nextcloud + "  replicas: 2\n  volumes: {html: pure-block}\n",
		"good/pso.yaml":  nextcloud,
	})
	if err != nil {
		return err
	}
	wrong := plugin("pso-gen")
	wrong.Parameters = argo.ApplicationSourcePluginParameters{
		text("spec.replica", "3"), text("spec.redis", "yes"), text("spec.volumes.data.size", "much"), list("layers", "../../../x"),
	}
	wrong.Env = argo.Env{{Name: "HOSTT", Value: "x"}}
	values := plugin("pso-gen")
	values.Parameters = wrong.Parameters[:3]
	for _, c := range []struct {
		name, path string
		plugin     *argo.ApplicationSourcePlugin
	}{
		{"slip", "slip", plugin("pso-gen")}, {"value", "value", plugin("pso-gen")}, {"yaml", "yaml", plugin("pso-gen")},
		{"rule", "rule", plugin("pso-gen")}, {"layers", "good", wrong}, {"parameters", "good", values},
	} {
		_, err := s.generate(address, c.path, "team", c.plugin, 30)
		if err == nil {
			return fmt.Errorf("%s: no error", c.name)
		}
		if err := s.golden("error-"+c.name+".txt", err.Error()+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// Never a success without an object.
func (s *suite) nothing() error {
	address, err := s.repository(map[string]string{
		"empty/README.md": "", "comments/pso.yaml": "# nothing\n---\n", "blank/pso.yaml": "", "foreign/x.yaml": "kind: Pod\n",
	})
	if err != nil {
		return err
	}
	for _, path := range []string{"empty", "comments", "blank", "foreign"} {
		objects, err := s.generate(address, path, "team", plugin("pso-gen"), 30)
		if err == nil {
			return fmt.Errorf("%s: a success with %d objects", path, len(objects))
		}
		if !strings.Contains(err.Error(), "[nothing-to-do]") {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// What nobody should be able to do with a repository.
func (s *suite) hostile() error {
	secret := filepath.Join(s.servers.Folder, "secret.yaml")
	if err := os.WriteFile(secret, []byte("spec: {admin: sesame}\n"), 0o644); err != nil {
		return err
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for level := 1; level < 12; level++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", level, level, strings.Repeat(fmt.Sprintf("*a%d, ", level-1), 10))
	}
	word := strings.Repeat("x", 1<<20)
	for name, files := range map[string]map[string]string{
		"link-in":       {"app/pso.yaml": "-> ../other.yaml", "other.yaml": nextcloud},
		"link-loop":     {"app/pso.yaml": "-> pso.yaml"},
		"link-layer":    {"app/pso.yaml": nextcloud, "app/layer.yaml": "-> ../../secret.yaml"},
		"bomb":          {"app/pso.yaml": nextcloud, "app/x.pso.yaml": bomb},
		"long-aliases":  {"app/pso.yaml": nextcloud, "app/x.pso.yaml": "a: &a " + word + "\nb: [" + strings.Repeat("*a, ", 50000) + "]\n"},
		"deep":          {"app/pso.yaml": nextcloud, "app/x.pso.yaml": strings.Repeat("[", 1<<20)},
		"huge":          {"app/pso.yaml": nextcloud, "app/x.pso.yaml": strings.Repeat("# x\n", 2<<20)},
		"many":          {"app/pso.yaml": nextcloud, "app/x.pso.yaml": strings.Repeat("a: b\n---\n", 100000)},
		"binary":        {"app/pso.yaml": nextcloud, "app/x.pso.yaml": "\x00\xff\xfe"},
		"deep-layer":    {"app/pso.yaml": nextcloud, "app/layer.yaml": strings.Repeat("- ", 1<<20)},
		"device-layer":  {"app/pso.yaml": nextcloud, "app/layer.yaml": "-> /dev/zero"},
		"process-layer": {"app/pso.yaml": nextcloud, "app/layer.yaml": "-> /proc/self/environ"},
	} {
		address, err := s.repository(files)
		if err != nil {
			return err
		}
		ours := plugin("pso-gen")
		if _, has := files["app/layer.yaml"]; has {
			ours.Parameters = argo.ApplicationSourcePluginParameters{list("layers", "layer.yaml")}
		}
		began := time.Now()
		_, err = s.generate(address, "app", "team", ours, 30)
		if err == nil {
			return fmt.Errorf("%s: no error", name)
		}
		if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "panicked") {
			return fmt.Errorf("%s: %w", name, err)
		}
		if taken := time.Since(began); taken > 10*time.Second {
			return fmt.Errorf("%s: took %s", name, taken)
		}
		if len(err.Error()) > 8000 {
			return fmt.Errorf("%s: more than a screen: %d bytes", name, len(err.Error()))
		}
	}
	return nil
}

// What becomes of a plugin that does not end, for comparison: nobody learns why.
func (s *suite) deadline() error {
	address, err := s.repository(map[string]string{"app/pso.yaml": nextcloud})
	if err != nil {
		return err
	}
	_, err = s.generate(address, "app", "team", plugin("sleeper"), 3)
	if err == nil {
		return errors.New("a plugin that sleeps has an answer")
	}
	_, err = s.generate(address, "app", "team", plugin("pso-gen"), 30)
	return err
}

// With discovery, Applications need not name the plugin.
func (s *suite) discovery() error {
	address, err := s.repository(map[string]string{"app/pso.yaml": nextcloud, "plain/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"})
	if err != nil {
		return err
	}
	objects, err := s.generate(address, "app", "team", nil, 30)
	if err != nil {
		return err
	}
	if _, is := objects["Deployment/team/nc-web"]; !is {
		return fmt.Errorf("objects without nc-web: %d", len(objects))
	}
	objects, err = s.generate(address, "plain", "team", nil, 30)
	if err != nil || len(objects) != 1 {
		return fmt.Errorf("a folder without apps: %d objects, %w", len(objects), err)
	}
	return nil
}

func (s *suite) hundred() error {
	files := map[string]string{}
	for number := range 100 {
		app := strings.ReplaceAll(nextcloud, "cloud.example.com", fmt.Sprintf("cloud%d.example.com", number))
		files[fmt.Sprintf("apps/a%d/pso.yaml", number)] = app
	}
	address, err := s.repository(files)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	wrong := make(chan error, 100)
	slots := make(chan bool, 8)
	for number := range 100 {
		group.Go(func() {
			slots <- true
			defer func() { <-slots }()
			objects, err := s.generate(address, fmt.Sprintf("apps/a%d", number), fmt.Sprintf("n%d", number), plugin("pso-gen"), 60)
			if err != nil {
				wrong <- err
				return
			}
			ingress := objects[fmt.Sprintf("Ingress/n%d/nc-web", number)]
			rules, _, _ := unstructured.NestedSlice(ingress, "spec", "rules")
			if len(rules) != 1 || !reflect.DeepEqual(rules[0].(map[string]any)["host"], fmt.Sprintf("cloud%d.example.com", number)) {
				wrong <- fmt.Errorf("app %d has the wrong Ingress: %v", number, rules)
			}
		})
	}
	group.Wait()
	close(wrong)
	return <-wrong
}

func (s *suite) thousand() error {
	files := map[string]string{}
	for number := range 1000 {
		files[fmt.Sprintf("apps/%d.pso.yaml", number)] = fmt.Sprintf(
			"apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {name: s%d}\nspec: {replicas: 1}\n", number)
	}
	address, err := s.repository(files)
	if err != nil {
		return err
	}
	objects, err := s.generate(address, "apps", "team", plugin("pso-gen"), 60)
	if err == nil && len(objects) < 2000 {
		return fmt.Errorf("%d objects", len(objects))
	}
	return err
}
