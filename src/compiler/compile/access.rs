//! Who the pods are to the cluster: an account of their own, with no rights at all.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Context, wave};
use crate::compiler::blueprint::App;
use crate::compiler::manifest::Object;

/// Name of the app's ServiceAccount.
pub(super) fn account(app: &App) -> String {
    app.name.clone()
}

/// The account; no token is mounted anywhere.
pub(super) fn service_account(context: &Context<'_>) -> [Object; 1] {
    [Object::from(ServiceAccount {
        metadata: context.metadata(account(context.app), "", wave::CONFIG),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })]
}
