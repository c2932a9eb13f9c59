//! The services of CSI and of kubelet's plugin registration as traits, and their servers for [`tonic`]: paths and codecs.
//! Knows nothing about what the calls do.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, http};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;

/// Declares a service: a trait with its calls, and the server that passes gRPC requests to it.
macro_rules! services {
    ($( $(#[$about:meta])* $service:ident as $server:ident, $name:literal {
        $( $method:ident = $path:literal: $request:ty => $response:ty, )*
    } )*) => { $(
        $(#[$about])*
        #[async_trait]
        pub(super) trait $service: Send + Sync + 'static {
            $( async fn $method(&self, request: $request) -> Result<$response, Status>; )*
        }

        /// The server of the service.
        pub(super) struct $server<S>(pub(super) Arc<S>);

        impl<S> Clone for $server<S> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl<S> NamedService for $server<S> {
            const NAME: &'static str = $name;
        }

        impl<S: $service> Service<http::Request<Body>> for $server<S> {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<Self::Response, Infallible>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                let service = Arc::clone(&self.0);
                match request.uri().path().strip_prefix(concat!("/", $name, "/")) {
                    $( Some($path) => Box::pin(async move {
                        let call = service_fn(move |request: Request<$request>| {
                            let service = Arc::clone(&service);
                            async move {
                                service.$method(request.into_inner()).await.map(Response::new)
                            }
                        });
                        let codec = ProstCodec::<$response, $request>::default();
                        Ok(Grpc::new(codec).unary(call, request).await)
                    }), )*
                    _ => Box::pin(async {
                        Ok(Status::unimplemented("the service has no such call").into_http())
                    }),
                }
            }
        }
    )*

        /// Each call: service, path, request and response.
        #[cfg(test)]
        pub(super) const CALLS: &[(&str, &str, &str, &str)] =
            &[$( $( ($name, $path, stringify!($request), stringify!($response)), )* )*];
    };
}

services! {
    /// CSI's Identity service.
    Identity as IdentityServer, "csi.v1.Identity" {
        get_plugin_info = "GetPluginInfo": GetPluginInfoRequest => GetPluginInfoResponse,
        get_plugin_capabilities = "GetPluginCapabilities":
            GetPluginCapabilitiesRequest => GetPluginCapabilitiesResponse,
        probe = "Probe": ProbeRequest => ProbeResponse,
    }

    /// CSI's Node service.
    Node as NodeServer, "csi.v1.Node" {
        stage = "NodeStageVolume": NodeStageVolumeRequest => NodeStageVolumeResponse,
        unstage = "NodeUnstageVolume": NodeUnstageVolumeRequest => NodeUnstageVolumeResponse,
        publish = "NodePublishVolume": NodePublishVolumeRequest => NodePublishVolumeResponse,
        unpublish = "NodeUnpublishVolume":
            NodeUnpublishVolumeRequest => NodeUnpublishVolumeResponse,
        stats = "NodeGetVolumeStats": NodeGetVolumeStatsRequest => NodeGetVolumeStatsResponse,
        expand = "NodeExpandVolume": NodeExpandVolumeRequest => NodeExpandVolumeResponse,
        capabilities = "NodeGetCapabilities":
            NodeGetCapabilitiesRequest => NodeGetCapabilitiesResponse,
        info = "NodeGetInfo": NodeGetInfoRequest => NodeGetInfoResponse,
        volume_health = "NodeGetVolumeHealth":
            NodeGetVolumeHealthRequest => NodeGetVolumeHealthResponse,
        storage_health = "NodeGetStorageHealth":
            NodeGetStorageHealthRequest => NodeGetStorageHealthResponse,
    }

    /// CSI's Controller service.
    Controller as ControllerServer, "csi.v1.Controller" {
        create_volume = "CreateVolume": CreateVolumeRequest => CreateVolumeResponse,
        delete_volume = "DeleteVolume": DeleteVolumeRequest => DeleteVolumeResponse,
        publish = "ControllerPublishVolume":
            ControllerPublishVolumeRequest => ControllerPublishVolumeResponse,
        unpublish = "ControllerUnpublishVolume":
            ControllerUnpublishVolumeRequest => ControllerUnpublishVolumeResponse,
        validate = "ValidateVolumeCapabilities":
            ValidateVolumeCapabilitiesRequest => ValidateVolumeCapabilitiesResponse,
        list_volumes = "ListVolumes": ListVolumesRequest => ListVolumesResponse,
        get_capacity = "GetCapacity": GetCapacityRequest => GetCapacityResponse,
        capabilities = "ControllerGetCapabilities":
            ControllerGetCapabilitiesRequest => ControllerGetCapabilitiesResponse,
        create_snapshot = "CreateSnapshot": CreateSnapshotRequest => CreateSnapshotResponse,
        delete_snapshot = "DeleteSnapshot": DeleteSnapshotRequest => DeleteSnapshotResponse,
        list_snapshots = "ListSnapshots": ListSnapshotsRequest => ListSnapshotsResponse,
        get_snapshot = "GetSnapshot": GetSnapshotRequest => GetSnapshotResponse,
        expand = "ControllerExpandVolume":
            ControllerExpandVolumeRequest => ControllerExpandVolumeResponse,
        get_volume = "ControllerGetVolume":
            ControllerGetVolumeRequest => ControllerGetVolumeResponse,
        modify = "ControllerModifyVolume":
            ControllerModifyVolumeRequest => ControllerModifyVolumeResponse,
        list_volume_health = "ControllerListVolumeHealth":
            ControllerListVolumeHealthRequest => ControllerListVolumeHealthResponse,
        get_volume_health = "ControllerGetVolumeHealth":
            ControllerGetVolumeHealthRequest => ControllerGetVolumeHealthResponse,
    }

    /// Kubelet's plugin registration.
    Registration as RegistrationServer, "pluginregistration.Registration" {
        get_info = "GetInfo": InfoRequest => PluginInfo,
        notify = "NotifyRegistrationStatus": RegistrationStatus => RegistrationStatusResponse,
    }
}
