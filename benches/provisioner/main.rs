//! How soon claims are bound and what that costs: our provisioner on a real control plane, beside the
//! CSI project's external-provisioner and a bare loop of the same writes, all in one run.
//!
//!   cargo bench --bench provisioner                  # all: more than half an hour
//!   cargo bench --bench provisioner -- --claims 1,200 --limits raised --only pso-gen,bare --bound 0
//!
//! Every line of the table has a control plane of its own, started for it, so that nothing is left over
//! from the line before. One claim goes ahead unmeasured. Then claims are made by this process, 32 at
//! a time as fast as the API server takes them, and seen to be bound by its one watch. Requests are
//! counted in the audit log of the API server, by user: whoever provisions is a ServiceAccount of its own.
//!
//! Needs what `tests/controlplane/start` and `benches/peers/build` need; without Go or the module proxy
//! there is no external-provisioner in the run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measures")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded to print them")]

mod audit;
mod bare;
mod claims;
mod contender;
mod process;
mod stage;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser as _;

use audit::Counts;
use claims::Claims;
use contender::{Contender, Running};
use stage::{Limits, Stage};

type Anything = Box<dyn Error + Send + Sync>;

/// How often one claim alone is measured.
const ALONE: usize = 10;
/// Time in which limits of requests forget what came before.
const PAUSE: Duration = Duration::from_secs(2);
/// Time over which writes are counted when nothing happens.
const STEADY: Duration = Duration::from_secs(60);

/// Measures provisioners on a real control plane.
#[derive(Debug, clap::Parser)]
struct Args {
    /// Numbers of claims
    #[arg(long, value_delimiter = ',', default_value = "1,200,1000")]
    claims: Vec<usize>,

    /// Limits of kube-controller-manager
    #[arg(long, value_enum, value_delimiter = ',', default_value = "default,raised")]
    limits: Vec<Limits>,

    /// Only those whose names have one of these in them
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Number of bound claims at which memory and steady writes of ours are measured; 0 leaves it out
    #[arg(long, default_value_t = 10_000)]
    bound: usize,

    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,

    /// Be the bare loop: who binds
    #[arg(long, hide = true, value_enum, requires = "kubeconfig")]
    bare: Option<bare::Binding>,

    /// Cluster of the bare loop
    #[arg(long, hide = true)]
    kubeconfig: Option<PathBuf>,
}

fn main() -> Result<(), Anything> {
    let args = Args::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    if let (Some(binding), Some(kubeconfig)) = (args.bare, &args.kubeconfig) {
        return runtime.block_on(bare::run(binding, kubeconfig));
    }
    runtime.block_on(measure(&args))
}

async fn measure(args: &Args) -> Result<(), Anything> {
    let mut contenders = Contender::all()?;
    let wanted = |name: String| args.only.iter().any(|only| name.contains(only.as_str()));
    contenders.retain(|contender| args.only.is_empty() || wanted(contender.to_string()));
    if !args.claims.is_empty() && !contenders.is_empty() {
        println!("{}", Line::HEAD);
    }
    let mut lines = Vec::new();
    for limits in &args.limits {
        for count in &args.claims {
            for contender in &contenders {
                match line(contender, *limits, *count).await {
                    Ok(line) => {
                        println!("{line}");
                        lines.push(line);
                    }
                    Err(error) => eprintln!("{contender}, {count} claims: {error}"),
                }
            }
        }
    }
    compare(&lines);
    for contender in contenders.iter().filter(|contender| contender.is_ours()) {
        if args.bound > 0 {
            steady(contender, args.bound).await?;
        }
    }
    Ok(())
}

/// What one run has shown.
struct Line {
    limits: Limits,
    claims: usize,
    who: String,
    is_ours: bool,
    /// From the first claim made to the last one bound; none for one claim at a time.
    all: Option<Duration>,
    /// Of each claim, in order.
    times: Vec<Duration>,
    own: Counts,
    /// What kube-controller-manager has asked for.
    manager: Counts,
    array_calls: Option<u64>,
    /// Claims that were `Lost`, if only for a moment.
    lost: usize,
    cpu: Duration,
    memory: u64,
    load: String,
}

impl Line {
    const HEAD: &str = "\
| limits | claims | | all bound | p50 | p99 | claims/s | writes | events | reads | KCM | array calls | Lost | CPU a claim | memory | load |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let claims = self.times.len();
        let each = |count: u64| format!("{:.2}", count as f64 / claims as f64);
        let at = |share: usize| time(self.times[(claims - 1) * share / 100]);
        let rate = |all: Duration| format!("{:.1}", claims as f64 / all.as_secs_f64());
        let cells = [
            self.limits.to_string(),
            self.claims.to_string(),
            self.who.clone(),
            self.all.map(time).unwrap_or_default(),
            at(50),
            at(99),
            self.all.map(rate).unwrap_or_default(),
            each(self.own.writes),
            each(self.own.events),
            each(self.own.reads),
            each(self.manager.writes + self.manager.events + self.manager.reads),
            self.array_calls.map(each).unwrap_or_default(),
            self.lost.to_string(),
            format!("{:.2} ms", self.cpu.as_secs_f64() * 1000.0 / claims as f64),
            format!("{:.0} MiB", mebibytes(self.memory)),
            self.load.clone(),
        ];
        write!(f, "| {} |", cells.join(" | "))
    }
}

/// Prints how many times as many claims a second ours binds as the others.
fn compare(lines: &[Line]) {
    for ours in lines.iter().filter(|line| line.is_ours) {
        for other in lines.iter().filter(|line| !line.is_ours) {
            let same = (ours.limits, ours.claims) == (other.limits, other.claims);
            if let (true, Some(own), Some(all)) = (same, ours.all, other.all) {
                println!(
                    "- {}, {} claims: {} has {:.2} times the claims/s of {}",
                    ours.limits,
                    ours.claims,
                    ours.who,
                    all.as_secs_f64() / own.as_secs_f64(),
                    other.who
                );
            }
        }
    }
}

fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.2} s"),
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Measures one contender on a control plane of its own.
async fn line(contender: &Contender, limits: Limits, count: usize) -> Result<Line, Anything> {
    let load = load()?;
    let mut stage = Stage::open(limits).await?;
    let running = contender.start(&stage, false).await?;
    let mut claims = Claims::watch(stage.client(), running.class()).await?;
    if contender.annotates() {
        claims.policy_is_in_force().await?;
    }
    let measured = timed(&mut stage, &running, &mut claims, count).await;
    let (mut times, all, before) = measured.map_err(|error| running.explain(&error))?;
    // Events and what else comes after the binding are part of the cost.
    stage.audit.quiet(Duration::from_secs(3), Duration::from_secs(30)).await?;
    let (own, manager) = (stage.audit.counts.own, stage.audit.counts.manager);
    let calls = running.array_calls().await?;
    if own.refused > 0 {
        eprintln!("{contender}, {limits}, {count} claims: {} of its requests refused", own.refused);
    }
    for (request, requests) in stage.audit.own() {
        eprintln!("{contender}, {limits}, {count} claims: {request} {requests}");
    }
    let still = claims.bound().await?;
    if still != times.len() + 1 {
        eprintln!("{contender}, {limits}, {count} claims: only {still} are still bound");
    }
    times.sort_unstable();
    Ok(Line {
        limits,
        claims: count,
        who: contender.to_string(),
        is_ours: contender.is_ours(),
        all: (count > 1).then_some(all),
        times,
        own,
        manager,
        array_calls: calls.zip(before.calls).map(|(after, before)| after - before),
        lost: claims.lost(),
        cpu: running.cpu()?.saturating_sub(before.cpu),
        memory: running.peak()?,
        load,
    })
}

/// What has been used before what is measured.
struct Before {
    cpu: Duration,
    calls: Option<u64>,
}

async fn timed(
    stage: &mut Stage,
    running: &Running,
    claims: &mut Claims,
    count: usize,
) -> Result<(Vec<Duration>, Duration, Before), Anything> {
    claims.make("warm", 1).await?;
    tokio::time::sleep(PAUSE).await;
    stage.audit.skip()?;
    let before = Before { cpu: running.cpu()?, calls: running.array_calls().await? };
    let start = Instant::now();
    let mut times = Vec::new();
    if count == 1 {
        for number in 0..ALONE {
            tokio::time::sleep(PAUSE / 2).await;
            times.extend(claims.make(&format!("alone-{number}"), 1).await?);
        }
    } else {
        times = claims.make("data", count).await?;
    }
    Ok((times, start.elapsed(), before))
}

/// Prints what ours needs and does when many claims are bound and nothing happens.
async fn steady(contender: &Contender, count: usize) -> Result<(), Anything> {
    println!("\n{contender}, {count} bound claims, load {}:\n", load()?);
    let mut stage = Stage::open(Limits::Raised).await?;
    let mut running = contender.start(&stage, true).await?;
    let mut claims = Claims::watch(stage.client(), running.class()).await?;
    tokio::time::sleep(PAUSE).await;
    println!("- resident before the first claim: {:.1} MiB", mebibytes(running.resident()?));
    let start = Instant::now();
    let made = claims.make("data", count).await;
    made.map_err(|error| running.explain(&error))?;
    println!("- all bound after {}", time(start.elapsed()));
    for again in ["", " of one started anew"] {
        // After a start it lists everything; nothing of that is waited for but its end.
        tokio::time::sleep(Duration::from_secs(10)).await;
        stage.audit.quiet(Duration::from_secs(10), Duration::from_secs(120)).await?;
        stage.audit.skip()?;
        tokio::time::sleep(STEADY).await;
        stage.audit.read()?;
        let own = stage.audit.counts.own;
        println!(
            "- memory{again}: {:.1} MiB, at most {:.1} MiB",
            mebibytes(running.resident()?),
            mebibytes(running.peak()?)
        );
        println!(
            "- its requests in {} s: {} writes, {} events, {} reads, {} of the lease",
            STEADY.as_secs(),
            own.writes,
            own.events,
            own.reads,
            own.leases
        );
        if again.is_empty() {
            running.again()?;
        }
    }
    println!("- still bound: {}, once lost: {}", claims.bound().await?, claims.lost());
    Ok(())
}

/// The machine's load average of the last minute.
fn load() -> Result<String, Anything> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
