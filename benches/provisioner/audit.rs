//! What the API server was asked for and by whom, from its audit log. Knows nothing of who that is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::Anything;
use super::stage::{ACCOUNT, NAMESPACE};

/// Requests of one user, without watches.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Objects written, except the following.
    pub(super) writes: u64,
    pub(super) events: u64,
    pub(super) leases: u64,
    pub(super) reads: u64,
    /// How many of all these were answered by an error.
    pub(super) refused: u64,
}

/// Requests by who has asked.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Whoever provisions.
    pub(super) own: Counts,
    /// kube-controller-manager.
    pub(super) manager: Counts,
}

/// The audit log.
#[derive(Debug)]
pub(super) struct Audit {
    policy: PathBuf,
    log: PathBuf,
    read: u64,
    /// What has been asked since it was last skipped.
    pub(super) counts: Users,
    /// Of whoever provisions, by what they were.
    own: BTreeMap<String, u64>,
}

impl Audit {
    /// Writes the policy into a folder, where the log will be as well.
    pub(super) fn new(folder: &Path) -> Result<Self, Anything> {
        let policy = folder.join("policy");
        let stages = ["RequestReceived", "ResponseStarted"];
        let rules = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": stages,
            "rules": [{"level": "Metadata"}],
        });
        fs::write(&policy, serde_json::to_string(&rules)?)?;
        let log = folder.join("audit.log");
        Ok(Self { policy, log, read: 0, counts: Users::default(), own: BTreeMap::new() })
    }

    /// What the API server is started with. Its log is one file, however large.
    pub(super) fn flags(&self) -> String {
        let (policy, log) = (self.policy.display(), self.log.display());
        format!("--audit-policy-file {policy} --audit-log-path {log} --audit-log-maxsize 100000")
    }

    /// Forgets what has been asked up to now.
    pub(super) fn skip(&mut self) -> Result<(), Anything> {
        self.read()?;
        self.counts = Users::default();
        self.own.clear();
        Ok(())
    }

    /// Reads until whoever provisions has asked nothing for some time, but for the lease.
    pub(super) async fn quiet(&mut self, long: Duration, most: Duration) -> Result<(), Anything> {
        let asked = |counts: &Counts| counts.writes + counts.events + counts.reads;
        let start = Instant::now();
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < long && start.elapsed() < most {
            self.read()?;
            let now = asked(&self.counts.own);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Requests of whoever provisions, by what they were.
    pub(super) fn own(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.own.iter()
    }

    /// Reads what is new in the log.
    pub(super) fn read(&mut self) -> Result<(), Anything> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        loop {
            line.clear();
            let length = lines.read_line(&mut line)?;
            // The last one may be written at this moment.
            if !line.ends_with('\n') {
                return Ok(());
            }
            self.read += length as u64;
            self.count(&serde_json::from_str(&line)?);
        }
    }

    fn count(&mut self, entry: &Json) {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let (user, verb) = (text(&entry["user"]["username"]), text(&entry["verb"]));
        let resource = text(&entry["objectRef"]["resource"]);
        let own = user == format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
        let counts = match user.as_str() {
            _ if verb == "watch" => return,
            _ if own => &mut self.counts.own,
            "system:kube-controller-manager" => &mut self.counts.manager,
            // Each of its controllers has an account.
            user if user.starts_with("system:serviceaccount:kube-system:") => {
                &mut self.counts.manager
            }
            _ => return,
        };
        match (verb.as_str(), resource.as_str()) {
            (_, "leases") => counts.leases += 1,
            ("get" | "list", _) => counts.reads += 1,
            (_, "events") => counts.events += 1,
            _ => counts.writes += 1,
        }
        let code = entry["responseStatus"]["code"].as_u64().unwrap_or_default();
        counts.refused += u64::from(code >= 400);
        if own {
            let part = entry["objectRef"]["subresource"].as_str();
            let part = part.map(|part| format!("/{part}")).unwrap_or_default();
            *self.own.entry(format!("{verb} {resource}{part} {code}")).or_default() += 1;
        }
    }
}
