//! What is only counted: Events and tokens, of which there may be very many, and on which nothing is decided but how often.
//!
//! No wall, policy, budget or record is asked: a look at whose the request is and at its rate. The API server asks here only
//! about tenants' namespaces and nobody of the system (`matchConditions` in `deploy/manifests`), and lets pass what it gets no
//! answer to: an event must not be lost because Bailey is away.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use model::{Code, Request, ReviewError, decode_review};
use serde_json::{Value, json};

use crate::decision::status;
use crate::pipeline::Admission;
use crate::rates::{TooSoon, class_of};

impl Admission {
    /// The AdmissionReview that answers a review which is only counted.
    ///
    /// # Errors
    /// When the body is no review.
    pub(crate) fn count_only(&self, body: &Bytes) -> Result<Value, ReviewError> {
        let request = decode_review(body).inspect_err(|_| self.metrics.pace("unread", "unread"))?;
        let (result, paced) = self.paced(&request);
        self.metrics.pace(class_of(&request).as_str(), result);
        let mut response = json!({"uid": request.uid, "allowed": paced.is_ok()});
        if let (Err(soon), Some(fields)) = (paced, response.as_object_mut()) {
            fields.insert("status".to_owned(), self.told(&soon));
        }
        Ok(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
    }

    fn paced(&self, request: &Request) -> (&'static str, Result<(), TooSoon>) {
        // Before tenants are known nobody can be told apart.
        if !self.ready.load(Ordering::Acquire) {
            return ("unready", Ok(()));
        }
        let (Some(rates), Some(tenant)) = (self.rates.as_ref(), self.guard.payer_of(request)) else {
            return ("exempt", Ok(()));
        };
        match rates.pass(&tenant, request) {
            Ok(()) => ("allowed", Ok(())),
            Err(soon) => ("refused", Err(soon)),
        }
    }

    /// A Status without the id of a decision: a flood of these is not kept.
    fn told(&self, soon: &TooSoon) -> Value {
        let code = Code::RateLimited;
        let contact = self.contact.0.as_ref().map(|contact| format!(", ask {contact}")).unwrap_or_default();
        let mut details = json!({"causes": [{"reason": code.as_str(), "message": soon.message}]});
        if let (Some(seconds), Some(fields)) = (soon.seconds(), details.as_object_mut()) {
            fields.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        json!({
            "code": status(code), "reason": "TooManyRequests", "message": format!("{} [{code}]{contact}", soon.message),
            "details": details,
        })
    }
}
