package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	cmpclient "github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/cmp"
	"github.com/argoproj/argo-cd/v3/util/io/files"
	"github.com/argoproj/argo-cd/v3/util/tgzstream"
)

// Peaks prints what servers have used at most, and what the commands alone use.
func (b *bench) peaks() error {
	fmt.Printf("Most memory, MiB: repository server %.0f", b.servers.peak("repo-server"))
	for _, name := range []string{"nothing", "pso-gen", "helm-plugin"} {
		fmt.Printf(", plugin server of %s %.0f", name, b.servers.peak(name))
	}
	_, theirs, err := b.repositories(1, 1)
	if err != nil {
		return err
	}
	chart := filepath.Join(strings.TrimPrefix(theirs, "file://"), "apps", "a0")
	for _, c := range []struct {
		name, folder string
		command      []string
	}{
		{"pso-gen argocd generate", filepath.Join(b.folder, "app"), []string{filepath.Join(b.folder, "bin", "pso-gen"), "argocd", "generate"}},
		{"helm template", chart, []string{filepath.Join(b.folder, "helm", "helm"), "template", "app", "."}},
	} {
		note := filepath.Join(b.folder, "peak")
		// A child of this process would start with the size of this one.
		command := exec.Command("/usr/bin/time", append([]string{"--format=%M", "--output=" + note}, c.command...)...)
		command.Dir, command.Env = c.folder, append(os.Environ(), "ARGOCD_APP_NAMESPACE=team")
		if err := command.Run(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		text, err := os.ReadFile(note)
		if err != nil {
			return err
		}
		var kibibytes float64
		if _, err := fmt.Sscan(string(text), &kibibytes); err != nil {
			return err
		}
		fmt.Printf(", %s %.0f", c.name, kibibytes/1024)
	}
	fmt.Print("\n\n")
	return nil
}

// Steps prints what each step from the work tree to the command's end costs, by Argo CD's own functions.
func (b *bench) steps() error {
	address, _, err := b.repositories(1000, 1)
	if err != nil {
		return err
	}
	// As the repository server has it: a work tree, and the history in one file.
	folder := filepath.Join(b.folder, "clone")
	if err := exec.Command("git", "clone", "--quiet", address, folder).Run(); err != nil {
		return err
	}
	memory, err := os.MkdirTemp("/dev/shm", "argocd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(memory)
	var names []string
	taken := map[string][]time.Duration{}
	step := func(name string, do func() error) error {
		began := time.Now()
		err := do()
		if taken[name] == nil {
			names = append(names, name)
		}
		taken[name] = append(taken[name], time.Since(began))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	size := int64(0)
	for range 15 {
		var packed *os.File
		again := func() *os.File {
			_, _ = packed.Seek(0, io.SeekStart)
			return packed
		}
		disk, memory := filepath.Join(b.folder, "unpacked"), filepath.Join(memory, "unpacked")
		for _, s := range []struct {
			name string
			do   func() error
		}{
			{"list all files", func() error {
				return filepath.Walk(folder, func(_ string, _ fs.FileInfo, err error) error { return err })
			}},
			{"list, read, tar", func() error {
				_, err := files.Tar(folder, nil, nil, io.Discard)
				return err
			}},
			{"list, read, tar, gzip, write: what is sent", func() (err error) {
				packed, _, _, err = tgzstream.CompressFiles(folder, nil, nil)
				return err
			}},
			{"gunzip, untar, write nothing", func() error { return discard(again()) }},
			{"gunzip, untar, write to the disk", func() error { return files.Untgz(disk, again(), 1<<40, false) }},
			{"delete from the disk", func() error { return os.RemoveAll(disk) }},
			{"gunzip, untar, write to memory", func() error { return files.Untgz(memory, again(), 1<<40, false) }},
			{"delete from memory", func() error { return os.RemoveAll(memory) }},
			{"a command that does nothing", func() error {
				return exec.Command("/bin/cat", filepath.Join(b.folder, "one.yaml")).Run()
			}},
			{"all: pack, a server that writes nothing", func() error { return b.ask("native", folder, "") }},
			{"all: pack, plugin server", func() error { return b.ask("nothing", folder, "") }},
			{"all: pack, plugin server, chunks of 64 KiB", func() error { return b.ask("nothing", folder, "65536") }},
		} {
			if err := step(s.name, s.do); err != nil {
				return err
			}
		}
		if about, err := packed.Stat(); err == nil {
			size = about.Size()
		}
		tgzstream.CloseAndDelete(packed)
	}
	fmt.Printf("Steps at 1,000 files, %.1f MiB packed, ms:\n\n", float64(size)/(1<<20))
	for _, name := range names {
		m := median(taken[name])
		fmt.Printf("  %-44s %8.1f (%.1f to %.1f)\n", name, ms(m), ms(taken[name][0]), ms(taken[name][len(taken[name])-1]))
	}
	fmt.Println()
	return nil
}

func discard(packed io.Reader) error {
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(unpacked); ; {
		if _, err := archive.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return err
		}
	}
}

// Ask has a plugin server generate, as the repository server does it.
func (b *bench) ask(name, folder, chunk string) error {
	if err := os.Setenv("ARGOCD_CMP_CHUNK_SIZE", chunk); err != nil {
		return err
	}
	defer os.Unsetenv("ARGOCD_CMP_CHUNK_SIZE")
	set := cmpclient.NewConfigManagementPluginClientSet(filepath.Join(b.servers.Folder, "sockets", name+".sock"))
	connection, client, err := set.NewConfigManagementPluginClient()
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := client.GenerateManifest(context.Background())
	if err != nil {
		return err
	}
	if err := cmp.SendRepoStream(context.Background(), filepath.Join(folder, "apps", "a0"), folder, stream, nil, nil); err != nil {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

// Helps prints what users can do, and what a plugin server of our own could.
func (b *bench) helps() error {
	excluding, err := b.servers.repositoryServer("excluding", "--plugin-tar-exclude", "other/*")
	if err != nil {
		return err
	}
	withoutGit, err := b.servers.repositoryServer("without-git", "--plugin-tar-exclude", ".git")
	if err != nil {
		return err
	}
	narrow, err := b.servers.repositoryServer("narrow", "--plugin-use-manifest-generate-paths")
	if err != nil {
		return err
	}
	with := func(name, plugged, paths string, client apiclient.RepoServerServiceClient) contender {
		return contender{name: name, client: client, paths: paths,
			source: func(source *argo.ApplicationSource) { source.Plugin = plugin(plugged) }}
	}
	plain := b.servers.client
	fmt.Printf("What helps, ms, as above:\n\n")
	if err := b.table([]contender{
		with("nothing", "nothing", "", plain),
		with("nothing, without unpacking", "native", "", plain),
		with("pso-gen", "pso-gen", "", plain),
		with("pso-gen, other/* excluded", "pso-gen", "", excluding),
		with("pso-gen, generate paths", "pso-gen", ".", narrow),
		{name: "rendered, a directory", client: plain, source: func(source *argo.ApplicationSource) { source.Path = "rendered" }},
	}, 1000, 1, 31); err != nil {
		return err
	}
	b.history = 10 << 20
	fmt.Printf("The same with 10 MiB of history that does not pack:\n\n")
	return b.table([]contender{
		with("nothing", "nothing", "", plain),
		with("pso-gen", "pso-gen", "", plain),
		with("pso-gen, .git excluded", "pso-gen", "", withoutGit),
	}, 1000, 1, 15)
}
