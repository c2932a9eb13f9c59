//! Where the time of a run goes: each stage on one NextCloud app, and all of them.

use pso_gen::compiler::blueprint::{Classes, Library, instantiate};
use pso_gen::compiler::compile::compile;
use pso_gen::compiler::diagnostic::Sources;
use pso_gen::compiler::run::Pipeline;
use pso_gen::compiler::spec::split;
use pso_gen::compiler::{manifest, yaml};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const APP: &str = include_str!("../examples/tiny/nextcloud.pso.yaml");

fn main() {
    divan::main();
}

fn prepared() -> (Sources, Library) {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("the shipped blueprints load");
    (sources, library)
}

#[divan::bench]
fn load_blueprint(bencher: divan::Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let (sources, library) = prepared();
        library.get("NextCloud", &sources).map(|loaded| loaded.is_ok())
    });
}

#[divan::bench]
fn read_app(bencher: divan::Bencher<'_, '_>) {
    let sources = Sources::default();
    let source = sources.add("app", APP);
    bencher.bench_local(|| yaml::read(source, &sources));
}

#[divan::bench]
fn instantiate_app(bencher: divan::Bencher<'_, '_>) {
    let (sources, library) = prepared();
    let node = yaml::read(sources.add("app", APP), &sources).documents.remove(0);
    let document = split(node, &library.kinds()).expect("an app");
    let blueprint = library.get("NextCloud", &sources).expect("there").expect("loads");
    bencher.bench_local(|| instantiate(&document, blueprint, &Classes::default()));
}

#[divan::bench]
fn compile_app(bencher: divan::Bencher<'_, '_>) {
    let (sources, library) = prepared();
    let node = yaml::read(sources.add("app", APP), &sources).documents.remove(0);
    let document = split(node, &library.kinds()).expect("an app");
    let blueprint = library.get("NextCloud", &sources).expect("there").expect("loads");
    let (app, _) = instantiate(&document, blueprint, &Classes::default());
    let app = app.expect("instantiates");
    bencher.bench_local(|| compile(&app));
}

#[divan::bench]
fn write_objects(bencher: divan::Bencher<'_, '_>) {
    let (sources, library) = prepared();
    let node = yaml::read(sources.add("app", APP), &sources).documents.remove(0);
    let document = split(node, &library.kinds()).expect("an app");
    let blueprint = library.get("NextCloud", &sources).expect("there").expect("loads");
    let (app, _) = instantiate(&document, blueprint, &Classes::default());
    let (compiled, _) = compile(&app.expect("instantiates"));
    let objects = compiled.expect("compiles").objects;
    bencher.bench_local(|| {
        let mut text = String::new();
        manifest::write(&mut text, &objects).expect("writes");
        text
    });
}

#[divan::bench]
fn whole_app(bencher: divan::Bencher<'_, '_>) {
    let (sources, library) = prepared();
    let source = sources.add("app", APP);
    let pipeline = Pipeline {
        sources: &sources,
        library: &library,
        classes: Classes::default(),
        layers: Vec::new(),
        settings: Vec::new(),
        namespace: None,
        tenancy: pso_gen::compiler::spec::Tenancy::default(),
        today: "2026-01-01".to_owned(),
        side: pso_gen::compiler::run::Side::Today,
    };
    bencher.bench_local(|| {
        let unit = pipeline.render(source);
        let mut text = String::new();
        for rendered in &unit.apps {
            manifest::write(&mut text, &rendered.compiled.objects).expect("writes");
        }
        text
    });
}
