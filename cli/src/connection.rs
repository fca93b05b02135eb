use std::path::PathBuf;

use tenancy::self_service::{Connect, Fault, Session};

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConnectArgs {
    /// The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of its current one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

impl ConnectArgs {
    /// A session in this namespace, or in that of the context.
    pub(crate) async fn open(&self, namespace: Option<String>) -> Result<Session, Fault> {
        let connect =
            Connect { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), namespace };
        Session::open(&connect).await
    }
}
