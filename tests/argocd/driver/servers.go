package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
)

// Servers are Argo CD's own, each a process of its own as in a pod: a Redis, the repository server, and a
// plugin server for each plugin.
type Servers struct {
	Folder string
	client apiclient.RepoServerServiceClient
	runs   map[string]*exec.Cmd
	// What a repository server is started with.
	program, redis, sockets, address string
}

// Plugin is a sidecar: the file that it is configured by and the folder of its programs.
type Plugin struct {
	Name   string
	Config string
	Path   string
	// Instead of Argo CD's plugin server: a command that serves the socket behind it.
	Command []string
	// Whether that command makes itself small.
	Root bool
	// What the sidecar's environment has beside.
	Environment []string
}

// The user that Argo CD's documentation gives a sidecar.
const sidecarUser = 999

func start(servers, folder string, plugins []Plugin, flags ...string) (*Servers, error) {
	s := &Servers{Folder: folder, program: servers, runs: map[string]*exec.Cmd{}}
	for _, name := range []string{"sockets", "repo-server", "gpg", "tls", "ssh"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o777); err != nil {
			return nil, err
		}
		if err := os.Chmod(filepath.Join(folder, name), 0o777); err != nil {
			return nil, err
		}
	}
	redis, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s.redis, s.sockets = redis, "ARGOCD_PLUGINSOCKFILEPATH="+filepath.Join(folder, "sockets")
	if err := s.run("redis", "", nil, servers, "redis", redis); err != nil {
		return nil, err
	}
	for _, plugin := range plugins {
		config := filepath.Join(folder, plugin.Name)
		work := filepath.Join(config, "tmp")
		if err := os.MkdirAll(work, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(config, "plugin.yaml"), []byte(plugin.Config), 0o644); err != nil {
			return nil, err
		}
		user := 0
		if os.Getuid() == 0 && !plugin.Root {
			user = sidecarUser
			if err := os.Chown(work, user, user); err != nil {
				return nil, err
			}
		}
		// Nothing else on the path: a plugin that needs a shell has to say so.
		environment := []string{
			"PATH=" + plugin.Path, "HOME=/nonexistent", "TMPDIR=" + work, "ARGOCD_CMP_WORKDIR=" + work, s.sockets,
		}
		if plugin.Root {
			environment = os.Environ()
		}
		environment = append(environment, plugin.Environment...)
		command := plugin.Command
		if command == nil {
			command = []string{servers, "cmp-server", "--config-dir-path", config, "--loglevel", "warn"}
		} else {
			command = append(command, filepath.Join(folder, "sockets", plugin.Name+".sock"))
		}
		if err := s.runAs(user, plugin.Name, work, environment, command[0], command[1:]...); err != nil {
			return nil, err
		}
		if err := s.wait(func() bool {
			connection, err := net.Dial("unix", filepath.Join(folder, "sockets", plugin.Name+".sock"))
			if err == nil {
				connection.Close()
			}
			return err == nil
		}); err != nil {
			return nil, fmt.Errorf("plugin server %s: %w", plugin.Name, err)
		}
	}
	s.client, err = s.repositoryServer("repo-server", flags...)
	return s, err
}

// RepositoryServer starts one, with further flags.
func (s *Servers) repositoryServer(name string, flags ...string) (apiclient.RepoServerServiceClient, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s.address = address
	_, port, _ := net.SplitHostPort(address)
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, metricsPort, _ := net.SplitHostPort(metrics)
	temporary := filepath.Join(s.Folder, name)
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return nil, err
	}
	environment := append(os.Environ(), s.sockets, "TMPDIR="+temporary, "ARGOCD_GPG_ENABLED=false",
		"ARGOCD_GNUPGHOME="+filepath.Join(s.Folder, "gpg"), "ARGOCD_TLS_DATA_PATH="+filepath.Join(s.Folder, "tls"),
		"ARGOCD_SSH_DATA_PATH="+filepath.Join(s.Folder, "ssh"),
		"PATH="+os.Getenv("PATH")+":"+filepath.Join(s.Folder, "helm"),
		// Both would listen at the one address that is built in.
		"ARGOCD_ASK_PASS_SOCK="+filepath.Join(temporary, "ask.sock"),
		// A test of errors wants each of them anew, not the cached one.
		"ARGOCD_PAUSE_GEN_AFTER_FAILED_ATTEMPTS=0")
	arguments := append([]string{"repo-server", "--redis", s.redis, "--address", "127.0.0.1", "--port", port,
		"--metrics-address", "127.0.0.1", "--metrics-port", metricsPort, "--disable-tls", "--loglevel", "warn"}, flags...)
	if err := s.run(name, s.Folder, environment, s.program, arguments...); err != nil {
		return nil, err
	}
	if err := s.wait(func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	}); err != nil {
		return nil, fmt.Errorf("repository server: %w", err)
	}
	connection, err := apiclient.NewConnection(address, 0, &apiclient.TLSConfiguration{DisableTLS: true})
	if err != nil {
		return nil, err
	}
	return apiclient.NewRepoServerServiceClient(connection), nil
}

func (s *Servers) run(name, folder string, environment []string, program string, arguments ...string) error {
	return s.runAs(0, name, folder, environment, program, arguments...)
}

func (s *Servers) runAs(user int, name, folder string, environment []string, program string, arguments ...string) error {
	log, err := os.Create(filepath.Join(s.Folder, name+".log"))
	if err != nil {
		return err
	}
	command := exec.Command(program, arguments...)
	command.Dir, command.Env, command.Stdout, command.Stderr = folder, environment, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if user != 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	if err := command.Start(); err != nil {
		return err
	}
	s.runs[name] = command
	return nil
}

// End kills a process of that name, if there is one.
func (s *Servers) end(name string) {
	if old := s.runs[name]; old != nil {
		_ = old.Process.Kill()
		_ = old.Wait()
		delete(s.runs, name)
	}
}

func (s *Servers) wait(ready func() bool) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ready() {
			return nil
		}
	}
	return fmt.Errorf("does not listen; see %s", s.Folder)
}

func (s *Servers) stop() {
	for name, run := range s.runs {
		// A container outlives whoever is killed outright.
		if name == "pso-gen" {
			_ = run.Process.Signal(syscall.SIGTERM)
			time.Sleep(time.Second)
		}
		_ = run.Process.Kill()
		_ = run.Wait()
	}
	s.runs = map[string]*exec.Cmd{}
}

// Peak returns the most memory that a server has had, in MiB.
func (s *Servers) peak(name string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.runs[name].Process.Pid))
	for line := range strings.Lines(string(status)) {
		if words := strings.Fields(line); words[0] == "VmHWM:" {
			kibibytes, _ := strconv.ParseFloat(words[1], 64)
			return kibibytes / 1024
		}
	}
	return 0
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// Commit makes a Git repository of a folder's present files and returns its address.
func commit(folder string) (string, error) {
	for _, arguments := range []string{"init --quiet --initial-branch=main", "add --all --force",
		"commit --quiet --allow-empty --message=x"} {
		command := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com",
			"-c", "commit.gpgsign=false", "-c", "safe.directory=*"}, strings.Fields(arguments)...)...)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("git %s: %w: %s", arguments, err, output)
		}
	}
	return "file://" + folder, nil
}

func within(seconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
}
