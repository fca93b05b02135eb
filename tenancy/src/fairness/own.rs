//! Who Bailey is to the API server, and which generation of API servers that is.

use fairness::apf::ServerVersion;
use fairness::apf::objects::Subject;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};

/// What user names of service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The subject that the API server takes this client for.
pub(super) async fn subject(client: &Client) -> kube::Result<Option<Subject>> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    Ok(name.as_deref().map(subject_of))
}

fn subject_of(user: &str) -> Subject {
    match user.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => Subject::service_account(namespace, name),
        None => Subject::user(user),
    }
}

/// The generation of the API server.
pub(crate) async fn version(client: &Client) -> kube::Result<ServerVersion> {
    let version = client.apiserver_version().await?;
    Ok(generation(&version.major, &version.minor))
}

/// Of `1` and `36` or `36+`; what cannot be read is new.
fn generation(major: &str, minor: &str) -> ServerVersion {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let before = major == "1" && digits.parse::<u32>().is_ok_and(|minor| minor < 34);
    if before { ServerVersion::Before134 } else { ServerVersion::From134 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_told_from_users() {
        let account = subject_of("system:serviceaccount:bailey-system:bailey");
        assert_eq!(account, Subject::service_account("bailey-system", "bailey"));
        assert_eq!(subject_of("bailey"), Subject::user("bailey"));
    }

    #[test]
    fn generations_are_told_by_the_minor_version() {
        let of = |minor| generation("1", minor);
        assert_eq!([of("33"), of("33+")], [ServerVersion::Before134; 2]);
        assert_eq!([of("34"), of("36+"), of("")], [ServerVersion::From134; 3]);
        assert_eq!(generation("2", "0"), ServerVersion::From134);
    }
}
