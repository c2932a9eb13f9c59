//go:build pins

// Package pins keeps a module in go.mod of which no code is built: the resource definitions of the
// Gateway API are read out of its folder.
package pins

import _ "sigs.k8s.io/gateway-api/apis/v1"
