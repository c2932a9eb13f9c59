//go:build tools

// Package sanity names the program that `../run` builds.
package sanity

import _ "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"
