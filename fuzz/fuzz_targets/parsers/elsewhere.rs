//! What others hand to the program: a ResourceList of Kustomize, parameters and variables of Argo CD, earlier output,
//! the configuration and PersistentVolumes of older drivers.

use pso_gen::adapters::argocd;
use pso_gen::adapters::krm::ResourceList;
use pso_gen::adapters::migrate::{self, ImportOptions};
use pso_gen::compiler::diagnostic::Sources;
use pso_gen::compiler::{manifest, yaml};

use crate::app::print;

pub(crate) fn elsewhere(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sources = Sources::default();
    if let Err(wrong) = argocd::parse_parameters(text, &sources) {
        print(&wrong, &sources);
    }
    if let Err(wrong) = manifest::read_stream(sources.add("earlier", text), &sources) {
        print(&[wrong], &sources);
    }
    let read = yaml::read(sources.add("input", text), &sources);
    for node in read.documents {
        let options = ImportOptions {
            cluster: None,
            namespace: "pso".to_owned(),
            nodes: Vec::new(),
            prefix: None,
        };
        let (mut old, wrong) = migrate::values(&node, &options);
        print(&wrong, &sources);
        if let Ok((found, wrong)) = migrate::volumes(text, &mut old) {
            print(&wrong, &sources);
            let _ = (
                migrate::document(&old, &found, &options).is_ok(),
                migrate::secret(&old, &options).is_ok(),
            );
        }
        match ResourceList::new(node) {
            Ok(list) => drop((list.documents(), list.with(Vec::new(), &[]), list.unchanged(&[]))),
            Err(wrong) => print(&[wrong], &sources),
        }
    }
}
