//! Paths of added files and folders: none hides or changes what the app, the image or Kubernetes has there.

use super::Checker;
use crate::compiler::spec::Additions;

/// Folders of the kernel, of Kubernetes and of pso-gen's scripts.
const SYSTEM: [&str; 5] = ["/dev", "/proc", "/sys", "/pso", "/run/secrets/kubernetes.io"];
/// Folders that an image cannot do without.
const IMAGE: [&str; 9] =
    ["/bin", "/etc", "/lib", "/lib64", "/run", "/sbin", "/usr", "/usr/lib", "/var"];
/// Folders of programs, which the image and the app's scripts run.
const PROGRAMS: [&str; 6] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
/// How the names of the files begin that the app's scripts write.
const SCRIPTS: [&str; 2] = ["pso-", "zz-pso"];
/// Links of usual images, and where they lead.
const LINKS: [(&str, &str); 2] = [("/var/run", "/run"), ("/var/lock", "/run/lock")];

/// A path that is taken, and by what.
pub(super) type Taken = (String, &'static str);

/// A path in the app file, with its section.
pub(super) type Written<'a> = (&'static str, &'a str);

/// Returns where a path leads.
pub(super) fn real(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let followed = LINKS.iter().find_map(|(link, to)| {
        let rest = path.strip_prefix(link)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
    });
    followed.unwrap_or_else(|| path.to_owned())
}

fn is_inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns why a path cannot be used in any app, and what to write.
fn alone(path: &str) -> Option<(String, String)> {
    let steps: Vec<&str> =
        path.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
    let plain = format!("/{}", steps.join("/"));
    let another = "write another path".to_owned();
    let real = real(&plain);
    let system = SYSTEM.iter().find(|outer| real == **outer || is_inside(&real, outer));
    if steps.is_empty() {
        Some(("`/` has all files of the image".to_owned(), another))
    } else if plain != path {
        Some((format!("`{path}` is not the shortest form of the path"), format!("write `{plain}`")))
    } else if path.contains(':') {
        Some((format!("`{path}` contains `:`, which Kubernetes does not accept"), another))
    } else if let Some(system) = system {
        Some((format!("`{system}` belongs to the system of the container"), another))
    } else if path.contains(char::is_control) {
        Some(("the path contains a control character".to_owned(), another))
    } else if steps.last().is_some_and(|name| SCRIPTS.iter().any(|start| name.starts_with(start))) {
        Some((format!("`{path}` has a name that is reserved for the app's scripts"), another))
    } else if IMAGE.contains(&real.as_str())
        || PROGRAMS.iter().any(|folder| real == **folder || is_inside(&real, folder))
    {
        Some((format!("`{path}` has files that the image needs"), another))
    } else {
        None
    }
}

/// Returns how a path clashes with one that is taken.
fn clash(path: &str, taken: &[Taken]) -> Option<String> {
    let real = real(path);
    taken.iter().find_map(|(own, what)| {
        if real == *own || is_inside(own, &real) {
            Some(format!("`{path}` hides the {what} `{own}` of the app"))
        } else if !is_inside(&real, own) || *what == "folder" {
            None
        } else if *what == "volume" {
            Some(format!(
                "`{path}` is inside the volume at `{own}`, where an empty file or folder would remain"
            ))
        } else {
            Some(format!("`{path}` is inside the {what} `{own}` of the app"))
        }
    })
}

impl Checker<'_> {
    /// Checks the paths of a component or job against those of the programs that the additions reach.
    pub(super) fn paths(&mut self, part: &str, additions: &Additions) {
        let mut taken: Vec<Taken> = Vec::new();
        for program in self.reached(part) {
            let volumes = program.mounts.values().flatten();
            let volumes = volumes.map(|mount| (mount.path.as_str(), "volume"));
            let files = program.files.iter().filter(|(_, file)| file.is_some());
            let files = files.map(|(path, _)| (path.as_str(), "file"));
            let writable = program.writable.keys().map(|path| (path.as_str(), "folder"));
            // The paths that a message names first are the most telling ones.
            taken.extend(
                volumes.chain(files).chain(writable).map(|(path, what)| (real(path), what)),
            );
        }
        // A job has those of the component that it is like as well.
        let all = self.app.additions.get(part).unwrap_or(additions);
        let files = all.files.keys().map(|path| ("files", path.as_str()));
        let mounts = all.mounts.keys().map(|path| ("mounts", path.as_str()));
        let all: Vec<Written<'_>> = files.chain(mounts).collect();
        let own = |(section, path): Written<'_>| match section {
            "files" => additions.files.contains_key(path),
            _ => additions.mounts.contains_key(path),
        };
        self.each(part, &[], &taken, &all, &own);
    }

    /// Checks paths against those that are taken, and against each other. Those that are not `own` have been checked.
    pub(super) fn each(
        &mut self,
        part: &str,
        at: &[&str],
        taken: &[Taken],
        all: &[Written<'_>],
        own: &dyn Fn(Written<'_>) -> bool,
    ) {
        for (index, (section, path)) in all.iter().enumerate() {
            if !own(all[index]) {
                continue;
            }
            let mut others = all.iter().enumerate().filter(|(other, _)| *other != index);
            let among = others.find_map(|(other, (section, second))| {
                // Of two, the second one is reported, and always the one that is not checked elsewhere.
                let checked = !own(all[other]);
                let (this, that) = (real(path), real(second));
                if this == that && (other < index || checked) {
                    Some(format!("`{path}` is taken by an entry of `{section}`"))
                } else if is_inside(&this, &that) {
                    Some(format!(
                        "`{path}` is inside `{second}`, an entry of `{section}` that is read-only"
                    ))
                } else if checked && is_inside(&that, &this) {
                    Some(format!("`{path}` hides `{second}`, an entry of `{section}`"))
                } else {
                    None
                }
            });
            let another = || "write another path".to_owned();
            let wrong = alone(path)
                .or_else(|| Some((clash(path, taken)?, another())))
                .or_else(|| Some((among?, another())));
            if let Some((message, fix)) = wrong {
                self.report(part, &[at, &[*section, *path]].concat(), &message, &fix);
            }
        }
    }
    /// Checks one path against those that are taken.
    pub(super) fn one(&mut self, part: &str, at: &[&str], path: &str, taken: &[Taken]) {
        let clash = || Some((clash(path, taken)?, "write another path".to_owned()));
        if let Some((message, fix)) = alone(path).or_else(clash) {
            self.report(part, at, &message, &fix);
        }
    }
}
