//! Arguments that select the inputs, shared by all commands that read apps.

use std::path::PathBuf;

use clap::Args;

use super::input_files::{self, Ignored};
use crate::compiler::run::Side;

/// The inputs.
#[derive(Debug, Clone, Args)]
pub(super) struct InputArgs {
    /// Files or folders with apps; `-` is standard input. In folders, files called `*.pso.yaml` or
    /// `pso.yaml` count
    #[arg(default_value = ".", value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,

    /// File that is merged over the apps: what differs in one environment
    #[arg(short = 'f', long = "layer", value_name = "FILE")]
    pub(super) layers: Vec<PathBuf>,

    /// Single value over everything else, such as `spec.replicas=3`; `NAME:spec.replicas=3` where a
    /// run has several apps
    #[arg(long = "set", value_name = "[APP:]PATH=VALUE")]
    pub(super) settings: Vec<String>,

    /// Namespace of the apps that name none
    #[arg(short, long, value_name = "NAME")]
    pub(super) namespace: Option<String>,

    /// Folder with blueprints of your own, beside those in `blueprints` folders next to the apps
    #[arg(long, value_name = "DIR")]
    pub(super) blueprints: Vec<PathBuf>,

    /// Storage document of the cluster, for its classes and quotas; it is not rendered
    #[arg(long, value_name = "FILE")]
    pub(super) storage: Vec<PathBuf>,

    /// Rules of the platform that the apps of a tenant are held to, beside those in
    /// `PSO_GEN_TENANT_RULES`
    #[arg(long, value_name = "FILE")]
    pub(super) tenant_rules: Vec<PathBuf>,

    /// What Argo CD says of the Application.
    #[arg(skip)]
    pub(super) application: Option<Application>,

    /// Which app files in folders are left out.
    #[arg(skip)]
    pub(super) ignored: Ignored,

    /// Which side of a comparison is read.
    #[arg(skip)]
    pub(super) side: Side,

    /// Day that counts as today, for apps that end
    #[arg(long, value_name = "YYYY-MM-DD", hide = true)]
    pub(super) today: Option<jiff::civil::Date>,
}

/// What Argo CD says of an Application, whose writers cannot change it.
#[derive(Debug, Clone)]
pub(super) struct Application {
    /// Its AppProject; empty when Argo CD does not say.
    pub(super) project: String,
    /// Its destination's namespace; empty for none.
    pub(super) namespace: String,
}

impl InputArgs {
    /// Returns the day that counts as today. On the baseline's day, no app had expired.
    pub(super) fn day(&self) -> String {
        match self.side {
            Side::Today => input_files::day(self.today),
            Side::Earlier => input_files::day(Some(jiff::civil::date(1, 1, 1))),
        }
    }
}
