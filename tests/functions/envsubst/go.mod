module pso-gen/tests/functions/envsubst

go 1.26.8

require github.com/fluxcd/pkg/envsubst v1.8.0
