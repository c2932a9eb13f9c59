package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	cmpclient "github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/cmp"
	"github.com/argoproj/argo-cd/v3/util/io/files"
	"github.com/argoproj/argo-cd/v3/util/tgzstream"
)

// Bench is a machine with all contenders running.
type bench struct {
	given   Given
	servers *Servers
	number  int
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
	b := &bench{given: given}
	shipped, err := os.ReadFile(given.plugin)
	if err != nil {
		return err
	}
	if err := copyProgram(given.helm, filepath.Join(folder, "helm", "helm")); err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyProgram(own, filepath.Join(folder, "driver")); err != nil {
		return err
	}
	// The floor prints one ConfigMap; to compare like with like, the second floor prints what we do.
	rendered, err := b.render(folder)
	if err != nil {
		return err
	}
	if err := write(folder, map[string]string{
		"one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "all.yaml": rendered,
	}); err != nil {
		return err
	}
	command := func(name string, words ...string) Plugin {
		list, _ := json.Marshal(words)
		return Plugin{Name: name, Config: fmt.Sprintf(config, name, list), Path: filepath.Join(folder, "bin")}
	}
	b.servers, err = start(filepath.Join(folder, "argocd"), folder, []Plugin{
		{Name: "pso-gen", Config: string(shipped), Path: filepath.Join(folder, "bin")},
		command("nothing", "/bin/cat", filepath.Join(folder, "one.yaml")),
		command("cat", "/bin/cat", filepath.Join(folder, "all.yaml")),
		command("helm-plugin", filepath.Join(folder, "helm", "helm"), "template", "app", "."),
		{Name: "native", Command: []string{filepath.Join(folder, "driver"), "--native", filepath.Join(folder, "one.yaml")}},
	})
	if err != nil {
		return err
	}
	defer b.servers.stop()
	plugins := func(names ...string) []contender {
		var all []contender
		for _, name := range names {
			all = append(all, contender{name: name, client: b.servers.client, charts: name == "helm-plugin",
				source: func(source *argo.ApplicationSource) { source.Plugin = plugin(name) }})
		}
		return all
	}
	contenders := append(plugins("nothing", "pso-gen", "cat", "helm-plugin"), contender{
		name: "Argo CD's own helm", client: b.servers.client, charts: true, source: func(*argo.ApplicationSource) {},
	})
	fmt.Printf("Hard refresh through repository and plugin server, ms; median of rounds that take turns (least, most), and how often\nthe plugin that does nothing fits in. 100 apps: until all are done, 8 at a time.\n\n")
	for _, files := range []int{1, 100, 1000} {
		for _, apps := range []int{1, 100} {
			rounds := 21
			if apps > 1 {
				rounds = 3
			}
			if apps > 1 && files == 1000 {
				// Minutes for each.
				rounds = 1
			}
			if !wanted(fmt.Sprintf("%d/%d", files, apps)) {
				continue
			}
			if err := b.table(contenders, files, apps, rounds); err != nil {
				return err
			}
		}
	}
	if wanted("memory") {
		if err := b.memory(folder); err != nil {
			return err
		}
	}
	if wanted("steps") {
		if err := b.steps(); err != nil {
			return err
		}
	}
	if !wanted("helps") {
		return nil
	}
	excluding, err := b.servers.repositoryServer("excluding", "--plugin-tar-exclude", "other/*")
	if err != nil {
		return err
	}
	narrow, err := b.servers.repositoryServer("narrow", "--plugin-use-manifest-generate-paths")
	if err != nil {
		return err
	}
	with := func(name, paths string, client apiclient.RepoServerServiceClient) contender {
		return contender{name: name, client: client, paths: paths,
			source: func(source *argo.ApplicationSource) { source.Plugin = plugin("pso-gen") }}
	}
	fmt.Printf("\nWhat helps at 1,000 files, 1 app:\n\n")
	helps := append(plugins("nothing", "pso-gen"),
		contender{name: "nothing, without unpacking", client: b.servers.client,
			source: func(source *argo.ApplicationSource) { source.Plugin = plugin("native") }},
		with("pso-gen, other/* excluded", "", excluding),
		with("pso-gen, generate paths", ".", narrow),
		contender{name: "rendered, a directory", client: b.servers.client,
			source: func(source *argo.ApplicationSource) { source.Path = "rendered" }},
	)
	return b.table(helps, 1000, 1, 21)
}

func (b *bench) render(folder string) (string, error) {
	app := filepath.Join(folder, "app")
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
	rendered, err := b.render(b.servers.Folder)
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
		if addresses[at], err = commit(folder); err != nil {
			return "", "", err
		}
	}
	return addresses[0], addresses[1], nil
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

// Memory prints what servers and commands have used at most.
func (b *bench) memory(folder string) error {
	fmt.Printf("\nMost memory after all of this, MiB: repository server %.0f, plugin server %.0f, that of the floor %.0f; the command itself:",
		b.servers.peak("repo-server"), b.servers.peak("pso-gen"), b.servers.peak("nothing"))
	_, theirs, err := b.repositories(1, 1)
	if err != nil {
		return err
	}
	chart := filepath.Join(strings.TrimPrefix(theirs, "file://"), "apps", "a0")
	for _, c := range []struct{ name, folder, command string }{
		{"pso-gen", filepath.Join(folder, "app"), filepath.Join(folder, "bin", "pso-gen") + " argocd generate"},
		{"helm template", chart, filepath.Join(folder, "helm", "helm") + " template app ."},
	} {
		words := strings.Fields(c.command)
		command := exec.Command(words[0], words[1:]...)
		command.Dir, command.Stdout = c.folder, io.Discard
		command.Env = append(os.Environ(), "ARGOCD_APP_NAMESPACE=team")
		if err := command.Run(); err != nil {
			return fmt.Errorf("%s: %w", c.command, err)
		}
		usage, _ := command.ProcessState.SysUsage().(*syscall.Rusage)
		fmt.Printf(" %s %.0f", c.name, float64(usage.Maxrss)/1024)
	}
	fmt.Println()
	return nil
}

// Steps prints what each step from the work tree to the command's start costs, by Argo CD's own functions.
func (b *bench) steps() error {
	address, _, err := b.repositories(1000, 1)
	if err != nil {
		return err
	}
	folder := strings.TrimPrefix(address, "file://")
	client, err := cmpclient.NewConnection(filepath.Join(b.servers.Folder, "sockets", "nothing.sock"))
	if err != nil {
		return err
	}
	service := cmpclient.NewConfigManagementPluginServiceClient(client)
	taken := map[string][]time.Duration{}
	step := func(name string, do func() error) error {
		began := time.Now()
		err := do()
		taken[name] = append(taken[name], time.Since(began))
		return err
	}
	for range 11 {
		var packed *os.File
		if err := step("pack: read, tar, gzip, sum", func() (err error) {
			packed, _, _, err = tgzstream.CompressFiles(folder, nil, nil)
			return err
		}); err != nil {
			return err
		}
		to, err := os.MkdirTemp(b.servers.Folder, "unpacked-")
		if err != nil {
			return err
		}
		if err := step("unpack: gunzip, write", func() error { return files.Untgz(to, packed, 1<<40, false) }); err != nil {
			return err
		}
		tgzstream.CloseAndDelete(packed)
		if err := step("delete", func() error { return os.RemoveAll(to) }); err != nil {
			return err
		}
		if err := step("the command that does nothing", func() error {
			return exec.Command("/bin/cat", filepath.Join(b.servers.Folder, "one.yaml")).Run()
		}); err != nil {
			return err
		}
		if err := step("all of it, by way of the plugin server", func() error {
			stream, err := service.GenerateManifest(context.Background())
			if err != nil {
				return err
			}
			if err := cmp.SendRepoStream(context.Background(), filepath.Join(folder, "apps", "a0"), folder, stream, nil, nil); err != nil {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		}); err != nil {
			return err
		}
	}
	fmt.Printf("\nSteps at 1,000 files, ms:\n\n")
	for _, name := range []string{"pack: read, tar, gzip, sum", "unpack: gunzip, write", "delete", "the command that does nothing", "all of it, by way of the plugin server"} {
		m := median(taken[name])
		fmt.Printf("  %-40s %8.1f (%.1f to %.1f)\n", name, ms(m), ms(taken[name][0]), ms(taken[name][len(taken[name])-1]))
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[len(times)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
