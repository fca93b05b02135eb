//! Which tenants a user belongs to, and an answer that ends when that changes.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use hyper::body::Incoming;
use model::{Code, TenantIndex, TenantRole, UserInfo};
use tokio::sync::watch;
use tower::BoxError;

use crate::refusal::Refusal;

/// The most tenants of one user whose namespaces are listed together.
const MAX_TENANTS: usize = 1_000;
/// The longest value of a label.
const MAX_LABEL: usize = 63;

type Tenants = watch::Receiver<Arc<TenantIndex>>;

/// The tenants a user belongs to.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    user: UserInfo,
    /// In order. None where the user only has a role of their own in it, which says nothing of what is to be seen.
    pub(super) tenants: Vec<String>,
}

fn tenants_of(index: &TenantIndex, user: &UserInfo) -> Vec<String> {
    let roles = index.roles_of(user).into_iter();
    // A longer name is on no namespace.
    let seen = roles.filter(|(tenant, role)| *role > TenantRole::Custom && tenant.len() <= MAX_LABEL);
    seen.map(|(tenant, _)| tenant.to_owned()).collect()
}

/// The namespaces, in order, of all tenants in which a user has any role, and of the one in which a service account is. What
/// of them is to be seen the API server says.
pub(super) fn namespaces_of<'a>(index: &'a TenantIndex, user: &UserInfo) -> Vec<&'a str> {
    let roles = index.roles_of(user);
    let tenants: BTreeSet<&str> = roles.into_keys().chain(index.home_of(user)).collect();
    let namespaces: BTreeSet<&'a str> =
        tenants.into_iter().flat_map(|tenant| index.namespaces_of(tenant)).collect();
    namespaces.into_iter().collect()
}

impl Membership {
    /// What a user belongs to by a snapshot.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] for more than 1,000 tenants.
    pub(super) fn of(index: &TenantIndex, user: &UserInfo) -> Result<Self, Refusal> {
        let tenants = tenants_of(index, user);
        if tenants.len() > MAX_TENANTS {
            let message = format!(
                "you belong to {} tenants; a list of the whole cluster is made for up to {MAX_TENANTS} of them: ask for one \
                 namespace at a time",
                tenants.len()
            );
            return Err(Refusal::new(Code::GatewayRequest, message));
        }
        Ok(Self { user: user.clone(), tenants })
    }

    fn changed(&self, tenants: &Tenants) -> bool {
        let index = Arc::clone(&tenants.borrow());
        tenants_of(&index, &self.user) != self.tenants
    }

    /// Holds it against what is known now.
    ///
    /// # Errors
    /// Where it has changed: what was asked for by it is not given.
    pub(super) fn holds(&self, tenants: &Tenants) -> Result<(), Refusal> {
        if self.changed(tenants) {
            let message = "which tenants you belong to has just changed: ask again";
            return Err(Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        Ok(())
    }

    /// A body that ends when it changes.
    pub(super) fn bound(self, body: Incoming, tenants: Tenants) -> Bound {
        let (membership, mut followed) = (self.clone(), tenants.clone());
        let ended =
            Box::pin(
                async move { while !membership.changed(&followed) && followed.changed().await.is_ok() {} },
            );
        Bound { body, membership: self, tenants, ended, over: false }
    }
}

/// A body that ends when a membership changes.
pub(super) struct Bound {
    body: Incoming,
    membership: Membership,
    tenants: Tenants,
    /// Wakes it while nothing comes.
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    over: bool,
}

impl http_body::Body for Bound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // INVARIANT: after the piece came, so that one which came after the change is not given.
        if self.is_over() || self.ended.as_mut().poll(context).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        frame.map_err(Into::into)
    }
}

impl Bound {
    fn is_over(&mut self) -> bool {
        let other = self.tenants.has_changed().is_ok_and(|other| other);
        if other {
            self.tenants.mark_unchanged();
        }
        other && self.membership.changed(&self.tenants)
    }
}
