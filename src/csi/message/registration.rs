//! Messages of kubelet's plugin registration, version 1.

messages! {
    InfoRequest {}

    PluginInfo {
        #[prost(string, tag = "1")]
        r#type: String,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(string, tag = "3")]
        endpoint: String,
        #[prost(string, repeated, tag = "4")]
        supported_versions: Vec<String>,
    }

    RegistrationStatus {
        #[prost(bool, tag = "1")]
        plugin_registered: bool,
        #[prost(string, tag = "2")]
        error: String,
    }

    RegistrationStatusResponse {}
}
