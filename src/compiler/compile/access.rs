//! The pods' identity in the cluster: a ServiceAccount of their own, without any rights.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Context, wave};
use crate::compiler::blueprint::App;
use crate::compiler::manifest::Object;

/// Returns the name of the app's ServiceAccount.
pub(super) fn account(app: &App) -> String {
    app.name.clone()
}

/// Returns the account. Its token is not mounted into pods.
pub(super) fn service_account(context: &Context<'_>) -> [Object; 1] {
    [Object::from(ServiceAccount {
        metadata: context.metadata(account(context.app), "", wave::CONFIG),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })]
}
