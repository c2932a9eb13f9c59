package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"sigs.k8s.io/yaml"
)

// Bench is a machine with all contenders running.
type bench struct {
	given   Given
	servers *Servers
	number  int
	folder  string
	// How many bytes of history a repository has beside its files.
	history int
}

// Contender is one way from a repository to manifests.
type contender struct {
	name   string
	client apiclient.RepoServerServiceClient
	// Its repository is one of charts.
	charts bool
	source func(*argo.ApplicationSource)
	// What the Application says of the files that it depends on.
	paths string
}

const config = `apiVersion: argoproj.io/v1alpha1
kind: ConfigManagementPlugin
metadata: {name: %s}
spec: {generate: {command: %s}}
`

func measure(given Given, only []string) error {
	wanted := func(part string) bool { return len(only) == 0 || slices.Contains(only, part) }
	folder, err := room(given)
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bench{given: given, folder: folder}
	if err := b.start(); err != nil {
		return err
	}
	defer b.servers.stop()
	contenders := append(b.plugins("nothing", "pso-gen", "cat", "cat-json", "helm-plugin"), contender{
		name: "Argo CD's own helm", client: b.servers.client, charts: true, source: func(*argo.ApplicationSource) {},
	})
	fmt.Printf("Hard refresh through repository and plugin server, ms; median of rounds that take turns (least to most), and how often\n" +
		"the plugin that does nothing fits in. 100 apps: until all are done, 8 at a time. cat prints what pso-gen makes,\n" +
		"cat-json the same as JSON.\n\n")
	for _, size := range []struct{ files, apps, rounds int }{
		{1, 1, 31}, {1, 100, 5}, {100, 1, 31}, {100, 100, 3}, {1000, 1, 15}, {1000, 100, 1},
	} {
		if !wanted(fmt.Sprintf("%d/%d", size.files, size.apps)) {
			continue
		}
		if err := b.table(contenders, size.files, size.apps, size.rounds); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		name string
		do   func() error
	}{{"memory", b.peaks}, {"steps", b.steps}, {"helps", b.helps}} {
		if wanted(part.name) {
			if err := part.do(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start starts a plugin server for each contender.
func (b *bench) start() error {
	shipped, err := os.ReadFile(b.given.plugin)
	if err != nil {
		return err
	}
	if err := copyProgram(b.given.helm, filepath.Join(b.folder, "helm", "helm")); err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyProgram(own, filepath.Join(b.folder, "driver")); err != nil {
		return err
	}
	rendered, err := b.render()
	if err != nil {
		return err
	}
	var objects []string
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		object, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			return err
		}
		objects = append(objects, string(object))
	}
	if err := write(b.folder, map[string]string{
		"one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
		"all.yaml": rendered, "all.json": strings.Join(objects, "\n"),
	}); err != nil {
		return err
	}
	command := func(name string, words ...string) Plugin {
		list, _ := json.Marshal(words)
		return Plugin{Name: name, Config: fmt.Sprintf(config, name, list), Path: filepath.Join(b.folder, "bin")}
	}
	b.servers, err = start(filepath.Join(b.folder, "argocd"), b.folder, []Plugin{
		{Name: "pso-gen", Config: string(shipped), Path: filepath.Join(b.folder, "bin")},
		command("nothing", "/bin/cat", filepath.Join(b.folder, "one.yaml")),
		command("cat", "/bin/cat", filepath.Join(b.folder, "all.yaml")),
		command("cat-json", "/bin/cat", filepath.Join(b.folder, "all.json")),
		command("helm-plugin", filepath.Join(b.folder, "helm", "helm"), "template", "app", "."),
		{Name: "native", Command: []string{filepath.Join(b.folder, "driver"), "--native", filepath.Join(b.folder, "one.yaml")}},
	})
	return err
}

func (b *bench) plugins(names ...string) []contender {
	var all []contender
	for _, name := range names {
		all = append(all, contender{name: name, client: b.servers.client, charts: name == "helm-plugin",
			source: func(source *argo.ApplicationSource) { source.Plugin = plugin(name) }})
	}
	return all
}

func (b *bench) render() (string, error) {
	app := filepath.Join(b.folder, "app")
	if err := write(app, map[string]string{"pso.yaml": nextcloud}); err != nil {
		return "", err
	}
	command := exec.Command(b.given.generator, "render", "--namespace", "team", ".")
	command.Dir = app
	output, err := command.Output()
	return string(output), err
}

// Repositories makes one of apps and one of charts with the same objects, each with so many files.
func (b *bench) repositories(count, apps int) (string, string, error) {
	rendered, err := b.render()
	if err != nil {
		return "", "", err
	}
	chart := strings.ReplaceAll(rendered, "{{", "{{`{{`}}")
	chart = strings.ReplaceAll(chart, "cloud.example.com", "{{ .Values.host }}")
	folders := min(apps, count)
	ours, theirs := map[string]string{}, map[string]string{}
	for number := range folders {
		ours[fmt.Sprintf("apps/a%d/pso.yaml", number)] = nextcloud
		at := fmt.Sprintf("apps/a%d/", number)
		theirs[at+"Chart.yaml"] = "apiVersion: v2\nname: app\nversion: 0.1.0\n"
		theirs[at+"values.yaml"] = "host: cloud.example.com\n"
		theirs[at+"templates/app.yaml"] = chart
	}
	if count >= 1000 {
		ours["rendered/all.yaml"] = rendered
	}
	// Text that packs neither to nothing nor not at all.
	random := rand.New(rand.NewSource(1))
	for number := 0; len(ours) < count; number++ {
		var text strings.Builder
		for text.Len() < 2000 {
			fmt.Fprintf(&text, "key%d: value-%x\n", number, random.Int31())
		}
		path := fmt.Sprintf("other/d%d/file%d.txt", number/50, number)
		ours[path] = text.String()
		if len(theirs) < count {
			theirs[path] = text.String()
		}
	}
	var addresses [2]string
	for at, files := range []map[string]string{ours, theirs} {
		b.number++
		folder := filepath.Join(b.servers.Folder, fmt.Sprintf("repository-%d", b.number))
		if err := write(folder, files); err != nil {
			return "", "", err
		}
		if addresses[at], err = commit(folder); err == nil && b.history > 0 {
			err = b.remember(folder)
		}
		if err != nil {
			return "", "", err
		}
	}
	return addresses[0], addresses[1], nil
}

// Remember adds a file that does not pack, and deletes it again.
func (b *bench) remember(folder string) error {
	text := make([]byte, b.history)
	_, _ = rand.New(rand.NewSource(1)).Read(text)
	path := filepath.Join(folder, "old")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	if _, err := commit(folder); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	_, err := commit(folder)
	return err
}

func (b *bench) table(contenders []contender, count, apps, rounds int) error {
	ours, theirs, err := b.repositories(count, apps)
	if err != nil {
		return err
	}
	taken := map[string][]time.Duration{}
	// The first round fetches the repositories, and is not counted.
	for round := range rounds + 1 {
		for _, c := range contenders {
			address := ours
			if c.charts {
				address = theirs
			}
			asked := apps
			if round == 0 {
				asked = 1
			}
			began := time.Now()
			if err := b.all(c, address, min(apps, count), asked); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				taken[c.name] = append(taken[c.name], time.Since(began))
			}
		}
	}
	fmt.Printf("%d files, %d apps\n", count, apps)
	floor := median(taken[contenders[0].name])
	for _, c := range contenders {
		times := taken[c.name]
		m := median(times)
		fmt.Printf("  %-28s %8.1f (%.1f to %.1f) %6.2f\n", c.name, ms(m), ms(times[0]), ms(times[len(times)-1]), ms(m)/ms(floor))
	}
	return nil
}

// All asks for so many apps, which share so many folders, eight at a time.
func (b *bench) all(c contender, address string, folders, apps int) error {
	var group sync.WaitGroup
	wrong := make(chan error, apps)
	slots := make(chan bool, 8)
	for number := range apps {
		group.Go(func() {
			slots <- true
			defer func() { <-slots }()
			source := &argo.ApplicationSource{RepoURL: address, Path: fmt.Sprintf("apps/a%d", number%folders), TargetRevision: "main"}
			c.source(source)
			response, err := c.client.GenerateManifest(context.Background(), &apiclient.ManifestRequest{
				Repo: &argo.Repository{Repo: address}, Revision: "main", NoCache: true,
				AppName: fmt.Sprintf("app%d", number), Namespace: "team", ProjectName: "default", ProjectSourceRepos: []string{"*"},
				AppLabelKey: "app.kubernetes.io/instance", TrackingMethod: "annotation", ApplicationSource: source,
				KubeVersion: "1.37.2", AnnotationManifestGeneratePaths: c.paths,
			})
			if err == nil && len(response.Manifests) == 0 {
				err = errors.New("no manifests")
			}
			if err != nil {
				wrong <- err
			}
		})
	}
	group.Wait()
	close(wrong)
	return <-wrong
}

func median(times []time.Duration) time.Duration {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[len(times)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
