//! `pso-gen simulate`: simulates FlashBlades and FlashArrays in one local process.

mod storage;

use std::io;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::{Parser as _, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, Outcome, output};
use crate::contract::{Quantity, Seconds};
use crate::simulator::{
    Array, FaultRule, FlashArray, FlashBlade, Options, Running, Settings, serve,
};

/// Simulate FlashBlades and FlashArrays
///
/// Serves their REST APIs, each on its own port, and a page that shows their contents.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of FlashBlades
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=50))]
    flashblades: u8,

    /// Number of FlashArrays
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=50))]
    flasharrays: u8,

    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,

    /// First port: the page's, followed by one for each array; the default is free ports
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Serve plain http instead of https with a temporary certificate
    #[arg(long)]
    http: bool,

    /// Size of each array
    #[arg(long, value_name = "SIZE", default_value = "1Pi", value_parser = size)]
    capacity: u64,

    /// Largest number of volumes or file systems on each array
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    limit: usize,

    /// Largest number of hosts on each FlashArray
    #[arg(long, value_name = "N", default_value_t = 1000)]
    hosts: usize,

    /// File that stores the contents of the arrays, even if the process is killed; without it, nothing is stored
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Write a storage document for the arrays, with token and CA files beside it
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    storage_out: Option<PathBuf>,

    /// Newest REST version of each FlashBlade, such as 2.15; the default is the newest that is simulated
    #[arg(long, value_name = "2.N", value_parser = rest)]
    flashblade_rest: Option<u32>,

    /// Newest REST version of each FlashArray, such as 2.26; the default is the newest that is simulated
    #[arg(long, value_name = "2.N", value_parser = rest)]
    flasharray_rest: Option<u32>,

    /// Address of a port for iSCSI on the first FlashArray, in place of the four default ones, which no node can reach
    #[arg(long = "iscsi-port", value_name = "ADDRESS")]
    iscsi_ports: Vec<Ipv4Addr>,

    /// Address of a port for NVMe/TCP on the first FlashArray; without it, the array has none
    #[arg(long = "nvme-port", value_name = "ADDRESS")]
    nvme_ports: Vec<Ipv4Addr>,

    /// Address at which nodes mount the file systems of the first FlashBlade, in place of the default one
    #[arg(long, value_name = "ADDRESS")]
    nfs_address: Option<Ipv4Addr>,

    /// Protection group that new volumes of each FlashArray join by default
    #[arg(long, value_name = "NAME")]
    default_protection: Option<String>,

    /// Largest page of a list
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = page)]
    page: usize,

    /// Idle timeout of a session, such as 30m; 0s for none
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = milliseconds)]
    idle_timeout: u64,

    /// Time until the array eradicates a destroyed object
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = milliseconds)]
    eradication_delay: u64,

    /// Refuse to eradicate anything, as arrays in SafeMode do
    #[arg(long)]
    safe_mode: bool,

    /// Requests per second that each array accepts before it responds with 429; unlimited by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,

    /// Fault to inject, as JSON: `{"fault": "answerLost", "method": "POST", "resource": "volumes", "times": 1}`
    #[arg(long = "fault", value_name = "JSON", value_parser = fault)]
    faults: Vec<FaultRule>,

    /// Seed for faults with a probability
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// One line for each array
    #[default]
    Human,
    /// One JSON object on the first line
    Json,
}

fn size(text: &str) -> Result<u64, String> {
    Quantity::parse(text)
        .map(|size| size.bytes())
        .ok_or_else(|| "write a size such as 1Pi".to_owned())
}

fn rest(text: &str) -> Result<u32, String> {
    let minor = text.strip_prefix("2.").and_then(|minor| minor.parse().ok());
    minor.ok_or_else(|| "write a version such as 2.15".to_owned())
}

fn page(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| *size > 0);
    size.ok_or_else(|| "write a number from 1".to_owned())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let time = Seconds::parse(text).map(|time| u64::from(time.0) * 1000);
    time.ok_or_else(|| "write a time such as 30m or 24h".to_owned())
}

fn fault(text: &str) -> Result<FaultRule, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Simulate)?;
    runtime.block_on(async {
        let mut end = signal(SignalKind::terminate()).map_err(CommandError::Simulate)?;
        let options = Options {
            address: args.address,
            port: args.port,
            tls: !args.http,
            faults: args.faults.clone(),
            seed: args.seed,
            rate: args.rate,
            state: args.state.clone(),
            request_hook: None,
        };
        let running = serve(arrays(args), &options).await.map_err(CommandError::Simulate)?;
        if let Some(path) = &args.storage_out {
            storage::write(path, &running).map_err(CommandError::Simulate)?;
        }
        output::data(&description(args.format, &running)?)?;
        std::io::stdout().flush().map_err(CommandError::Simulate)?;
        tokio::select! {
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(Outcome::Success)
    })
}

/// Starts two FlashBlades and a FlashArray on the current runtime, and writes their storage document. Returns the
/// address of their page.
pub(super) async fn start(document: &Path) -> io::Result<String> {
    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        args: Args,
    }
    let Defaults { args } =
        Defaults::try_parse_from(["simulate", "--flashblades", "2"]).map_err(io::Error::other)?;
    let options = Options { address: args.address, tls: true, ..Options::default() };
    let running = serve(arrays(&args), &options).await?;
    storage::write(document, &running)?;
    Ok(running.page)
}

fn arrays(args: &Args) -> Vec<(Array, Settings)> {
    let settings = |number: u32, name: String, data: Vec<String>| Settings {
        number,
        name,
        token: format!("T-00000000-0000-4000-8000-{number:012x}"),
        data,
        capacity: args.capacity,
        limit: args.limit,
        hosts: args.hosts,
        safe_mode: args.safe_mode,
        page: args.page,
        idle_timeout: args.idle_timeout,
        eradication_delay: args.eradication_delay,
        ..Settings::default()
    };
    let blades = (1..=u32::from(args.flashblades)).map(|index| {
        let data = args.nfs_address.filter(|_| index == 1);
        let data = data.map_or_else(|| format!("192.0.2.{index}"), |address| address.to_string());
        let settings = settings(index, format!("fb{index}"), vec![data]);
        let settings = Settings { rest: args.flashblade_rest, ..settings };
        (Array::FlashBlade(Box::new(FlashBlade::new(settings.clone()))), settings)
    });
    let arrays = (1..=u32::from(args.flasharrays)).map(|index| {
        let given = |ports: &[Ipv4Addr]| -> Vec<String> {
            ports.iter().filter(|_| index == 1).map(ToString::to_string).collect()
        };
        let (mut portals, nvme) = (given(&args.iscsi_ports), given(&args.nvme_ports));
        if portals.is_empty() {
            portals = [100, 101, 102, 103].map(|host| format!("198.51.{host}.{index}")).to_vec();
        }
        let settings = settings(100 + index, format!("fa{index}"), portals);
        let default_protection = args.default_protection.clone();
        let rest = args.flasharray_rest;
        let settings = Settings { rest, nvme, default_protection, ..settings };
        (Array::FlashArray(Box::new(FlashArray::new(settings.clone()))), settings)
    });
    blades.chain(arrays).collect()
}

fn description(format: OutputFormat, running: &Running) -> Result<String, CommandError> {
    if format == OutputFormat::Json {
        let Running { arrays, page, certificate } = running;
        let description = json!({"arrays": arrays, "page": page, "certificate": certificate});
        return Ok(serde_json::to_string(&description)? + "\n");
    }
    let mut lines = format!("page        {}\n", running.page);
    for array in &running.arrays {
        lines.push_str(&format!(
            "{} {}  {}  token {}\n",
            array.kind, array.name, array.url, array.token
        ));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn given_addresses_are_those_of_the_first_array_of_each_kind() {
        let words = "simulate --flashblades 2 --flasharrays 2 --nfs-address 10.0.0.1 --iscsi-port 10.0.0.2 \
                     --iscsi-port 10.0.0.3 --nvme-port 10.0.0.4";
        let Command { args } = Command::parse_from(words.split_whitespace());
        let addresses: Vec<(Vec<String>, Vec<String>)> =
            arrays(&args).into_iter().map(|(_, settings)| (settings.data, settings.nvme)).collect();
        let [first_blade, second_blade, first, second] = &addresses[..] else {
            panic!("four arrays: {addresses:?}")
        };
        assert_eq!(
            (&first_blade.0, &second_blade.0[0]),
            (&vec!["10.0.0.1".to_owned()], &"192.0.2.2".to_owned())
        );
        assert_eq!(first.0, ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(first.1, ["10.0.0.4"]);
        assert_eq!((second.0.len(), second.1.len()), (4, 0), "they belong to one array");
    }
}
