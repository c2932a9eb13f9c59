//! Adds examples and exit codes to the help of every command. Knows only the commands' names.

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

/// Exit codes of a command that reads documents.
const READS: &str = "0  no errors; there may be warnings
  1  the documents have errors
  2  wrong usage, or a file that cannot be read or written";
/// Exit codes of a command that prints.
const PRINTS: &str = "0  printed
  2  wrong usage, or a file that cannot be read or written";

/// A purpose, and a command line to copy.
type Example = (&'static str, &'static str);

/// Name of a command, its exit codes, and examples.
const COMMANDS: [(&str, &str, &[Example]); 24] = [
    (
        "pso-gen",
        "0  success\n  1  the input has errors, or a check found something; `diff`: there are differences\n  2  wrong usage, or a file, cluster or array that cannot be reached",
        &[
            (
                "Create an app file, and render it",
                "pso-gen init NextCloud --name cloud --set host=cloud.example.com",
            ),
            (
                "Render the apps of a folder and apply them",
                "pso-gen render apps | kubectl apply -f -",
            ),
        ],
    ),
    (
        "render",
        "0  rendered; there may be warnings\n  1  the documents have errors and nothing is written; with `--check`, the folder is not up to date\n  2  wrong usage, or a file that cannot be read or written",
        &[
            (
                "Render the apps of a folder and apply them",
                "pso-gen render apps | kubectl apply -f -",
            ),
            (
                "Write one file for each object, for the test environment",
                "pso-gen render apps -f test.yaml --out rendered",
            ),
        ],
    ),
    (
        "validate",
        READS,
        &[
            (
                "Check the apps of a folder with the classes of the cluster",
                "pso-gen validate apps --storage storage.pso.yaml",
            ),
            ("Check a change against the main branch", "pso-gen validate apps --since origin/main"),
        ],
    ),
    (
        "diff",
        "0  no differences\n  1  there are differences\n  2  no comparison: wrong usage, input with errors, or a file that cannot be read",
        &[
            ("Show what changes against the main branch", "pso-gen diff origin/main apps"),
            (
                "List the objects that change with more pods",
                "pso-gen diff rendered apps --set cloud:spec.replicas=4 --names",
            ),
        ],
    ),
    (
        "explain",
        PRINTS,
        &[
            ("List the fields of a kind", "pso-gen explain nextcloud"),
            ("Explain one field, or a diagnostic", "pso-gen explain nextcloud.volumes.db"),
        ],
    ),
    (
        "schema",
        PRINTS,
        &[
            (
                "Let an editor complete and check storage documents",
                "pso-gen schema storage > storage.schema.json",
            ),
            (
                "Print the schema of your own blueprint",
                "pso-gen schema StaticSite --blueprints blueprints",
            ),
        ],
    ),
    (
        "init",
        "0  written\n  1  the file would have errors, and is not written\n  2  wrong usage, or a file that exists already or cannot be written",
        &[
            ("Answer questions on a terminal", "pso-gen init"),
            (
                "Set all fields by flags",
                "pso-gen init OwnCloud --name files --set host=files.example.com --out files.pso.yaml",
            ),
        ],
    ),
    (
        "import-pso",
        "0  written; there may be warnings\n  1  the input has errors\n  2  wrong usage, or a file that exists already, or cannot be read or written",
        &[
            (
                "Convert the values of the old driver's chart",
                "pso-gen import-pso values.yaml --cluster prod-a --nodes 10.20.0.0/16",
            ),
            (
                "Import the volumes as well",
                "pso-gen import-pso values.yaml --volumes pv.json --force",
            ),
        ],
    ),
    (
        "graph",
        READS,
        &[
            ("Draw the apps of a folder", "pso-gen graph apps > apps.svg"),
            ("Print the picture for a Markdown page", "pso-gen graph cloud.pso.yaml --as mermaid"),
        ],
    ),
    (
        "expired",
        "0  no app has expired\n  1  an app has expired, or a document has errors\n  2  wrong usage, or a file that cannot be read or deleted",
        &[
            ("List the apps that have expired", "pso-gen expired apps"),
            ("Delete their files, in a scheduled pipeline", "pso-gen expired apps --delete"),
        ],
    ),
    (
        "provisioner",
        "0  stopped by SIGTERM or Ctrl-C\n  1  the storage document has errors, or the lease was lost\n  2  wrong usage, or a cluster that cannot be reached",
        &[
            (
                "Run beside a cluster, with the context of kubectl",
                "pso-gen provisioner --storage storage.pso.yaml --secrets secrets",
            ),
            (
                "Run one of several replicas in a pod",
                "pso-gen provisioner --storage /etc/pso-gen/storage.pso.yaml --lease pso-system/pso-gen-provisioner --listen 0.0.0.0:8080",
            ),
        ],
    ),
    (
        "csi",
        "0  stopped by SIGTERM or Ctrl-C\n  1  the storage document has errors\n  2  wrong usage, a socket that cannot be used, or a cluster that cannot be reached",
        &[
            (
                "Serve beside a cluster, for the cluster whose `kube-system` has this UID",
                "pso-gen csi --socket csi.sock --config storage.pso.yaml --secrets secrets --cluster-uid 0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
            (
                "Serve in a pod, with sidecars of the Kubernetes storage group, in a cluster where the provisioner runs",
                "pso-gen csi --socket /csi/csi.sock --config /etc/pso-gen/storage/storage.pso.yaml --beside-provisioner",
            ),
        ],
    ),
    (
        "node",
        "0  stopped by SIGTERM or Ctrl-C\n  2  wrong usage, a socket that cannot be used, or a cluster that cannot be reached",
        &[
            (
                "Serve on a node, as the DaemonSet does",
                "pso-gen node --node-name worker-1 --csi-socket /var/lib/kubelet/plugins/pso-gen.io/csi.sock --registration-socket /var/lib/kubelet/plugins_registry/pso-gen.io-reg.sock",
            ),
            (
                "Serve without a cluster, to try it with a tool",
                "pso-gen node --node-name worker-1 --csi-socket csi.sock --standalone formatted",
            ),
        ],
    ),
    (
        "check",
        "0  the host has what block volumes need; there may be warnings\n  1  volumes cannot be used on this host\n  2  wrong usage",
        &[
            ("Check a host, in the process namespace of the host", "pso-gen node check"),
            (
                "Check whether it can use NVMe/TCP",
                "pso-gen node check --transport nvme-tcp --kubelet-dir /var/lib/kubelet",
            ),
        ],
    ),
    (
        "status",
        "0  no problems\n  1  there are problems, or the storage document has errors\n  2  wrong usage, or a cluster that cannot be reached",
        &[
            (
                "Show claims and arrays, and what to do about problems",
                "pso-gen status --storage storage.pso.yaml --secrets secrets",
            ),
            ("Watch one claim", "pso-gen status files/data --watch"),
        ],
    ),
    (
        "orphans",
        "0  no orphans\n  1  there are orphans, one was not destroyed, or an array cannot be reached\n  2  wrong usage, or a cluster that cannot be reached",
        &[
            (
                "List volumes that no claim or PersistentVolume uses",
                "pso-gen orphans --storage storage.pso.yaml --secrets secrets",
            ),
            (
                "Check whether one can be destroyed",
                "pso-gen orphans --storage storage.pso.yaml --destroy fb1/prod-a-pvc-1 --dry-run",
            ),
        ],
    ),
    (
        "simulate",
        "0  stopped by SIGTERM or Ctrl-C\n  2  wrong usage, or an address or file that cannot be used",
        &[
            (
                "Simulate one array of each kind, and write a storage document for them",
                "pso-gen simulate --storage-out storage.pso.yaml",
            ),
            (
                "Drop the responses to the first three requests",
                "pso-gen simulate --fault '{\"fault\": \"answerLost\", \"times\": 3}'",
            ),
        ],
    ),
    (
        "demo",
        "0  everything the demo created is deleted\n  2  a cluster that cannot be used or reached; the error lists the remaining objects",
        &[
            ("Run the demo until Ctrl-C", "pso-gen demo --kubeconfig ~/.kube/config"),
            ("Stop when all claims are bound", "pso-gen demo --once"),
        ],
    ),
    (
        "argocd",
        READS,
        &[
            ("Print the manifests of the folder, as a sidecar does", "pso-gen argocd generate"),
            ("Print its parameters", "pso-gen argocd parameters"),
        ],
    ),
    (
        "generate",
        READS,
        &[
            ("Print the manifests of the folder", "pso-gen argocd generate"),
            (
                "Print on a laptop what `plugin.yaml` prints in Argo CD",
                "env ARGOCD_APP_NAME=cloud pso-gen argocd generate",
            ),
        ],
    ),
    (
        "parameters",
        READS,
        &[
            ("Print the parameters of the folder's apps", "pso-gen argocd parameters"),
            ("List their names", "pso-gen argocd parameters | jq '.[].name'"),
        ],
    ),
    (
        "fn",
        "0  the `ResourceList` is printed; there may be warnings\n  1  the list or a document in it has errors\n  2  wrong usage",
        &[
            (
                "Run as a function of Kustomize",
                "kustomize build --enable-alpha-plugins --enable-exec . | pso-gen fn",
            ),
            ("Try it with a list in a file", "pso-gen fn < list.yaml"),
        ],
    ),
    (
        "completions",
        PRINTS,
        &[
            ("Write the completions for bash to a file", "pso-gen completions bash > pso-gen.bash"),
            ("Install them for zsh", "pso-gen completions zsh > ~/.zfunc/_pso-gen"),
        ],
    ),
    (
        "man",
        PRINTS,
        &[
            ("Read the manual page of the program", "pso-gen man | man -l -"),
            ("Install all pages", "pso-gen man --out ~/.local/share/man/man1"),
        ],
    ),
];

/// Returns the command line, with examples and exit codes in every help text.
pub(super) fn command() -> Command {
    ended(Cli::command())
}

/// Parses the command line of this process.
pub(super) fn parsed() -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

fn ended(command: Command) -> Command {
    let text = COMMANDS.iter().find(|(name, ..)| *name == command.get_name());
    let text = text.map(|(_, codes, examples)| {
        let lines = examples.iter().map(|(purpose, line)| {
            format!(
                "  {purpose}:
    {line}"
            )
        });
        let examples = lines.collect::<Vec<_>>().join(
            "
",
        );
        format!("Examples:\n{examples}\n\nExit codes:\n  {codes}")
    });
    let command = match text {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_two_examples_that_it_takes_and_exit_codes() {
        let mut left = vec![command()];
        let mut seen = 0;
        while let Some(command) = left.pop() {
            if command.get_name() == "help" {
                continue;
            }
            let found = COMMANDS.iter().find(|(name, ..)| *name == command.get_name());
            let (name, codes, examples) =
                found.unwrap_or_else(|| panic!("no help for {}", command.get_name()));
            assert!(codes.starts_with("0  ") && codes.contains("\n  2  "), "{name}");
            assert!(examples.len() >= 2, "{name}");
            for (_, line) in *examples {
                parse_example(line);
            }
            seen += 1;
            left.extend(command.get_subcommands().cloned());
        }
        assert_eq!(seen, COMMANDS.len(), "a help text of no command");
    }

    /// Parses pso-gen's part of an example, which is a line of a shell.
    fn parse_example(line: &str) {
        let own = line.split(" | ").find(|part| part.split(' ').any(|word| word == "pso-gen"));
        let own = own.unwrap_or_else(|| panic!("{line}: no pso-gen"));
        let own = own
            .split(
                [">", "<"]
                    .map(|sign| format!(" {sign} "))
                    .iter()
                    .find(|sign| own.contains(*sign))
                    .map_or("\n", String::as_str),
            )
            .next()
            .expect("a part");
        let mut words = Vec::new();
        for (index, part) in own.split('\'').enumerate() {
            if index % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
        }
        let words = words.into_iter().skip_while(|word| *word != "pso-gen");
        let parsed = command().try_get_matches_from(words);
        parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}
