// Marks this folder as one that Go builds. The versions are those of ../controlplane/go.mod, of the API server in
// the other tests: `run` names that file.
module pso-gen.io/tests/formats

go 1.26.0
