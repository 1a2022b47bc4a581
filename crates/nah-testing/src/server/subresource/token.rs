//! Tokens of service accounts, which nobody has signed.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::server::{
    apply::rules::{Known, Rules},
    kinds::Resource,
    managed_fields::{self, Manager},
    state::{State, Write, time_text},
    status::{Cause, Status},
};

const GROUP: &str = "authentication.k8s.io";
const VERSION: &str = "authentication.k8s.io/v1";
const ISSUER: &str = "https://kubernetes.default.svc";

/// The answer to a TokenRequest for the service account.
pub(super) fn issue(
    state: &mut State,
    write: &Write,
    accounts: &Resource,
    namespace: Option<&str>,
    name: &str,
    mut request: Value,
) -> Result<Value, Status> {
    let invalid = |name: &str, field: &str, value: &Value, why: &str| {
        Status::invalid(GROUP, "TokenRequest", name, vec![Cause::invalid(field, value, why)])
    };
    let account = state.get(accounts, namespace, name)?;
    let asked = request["metadata"]["name"].take();
    if asked.as_str().is_some_and(|asked| !asked.is_empty() && asked != name) {
        let why = "must match the service account name if specified";
        return Err(invalid(name, "metadata.name", &asked, why));
    }
    let (spec, now) = (&request["spec"], write.now.as_second());
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        return Err(invalid(
            asked.as_str().unwrap_or_default(),
            "spec.expirationSeconds",
            &json!(seconds),
            why,
        ));
    }
    let audiences = match spec["audiences"].as_array().filter(|all| !all.is_empty()) {
        Some(all) => json!(all),
        None => json!([ISSUER]),
    };
    let mut about = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": account.uid()}});
    let bound = spec["boundObjectRef"].clone();
    if !bound.is_null() {
        let (kind, other) = (bound["kind"].as_str(), bound["name"].as_str().unwrap_or_default());
        let plural = match kind {
            Some("Pod") => "pods",
            Some("Secret") => "secrets",
            _ => {
                return Err(Status::bad_request("the embedded server binds tokens to Pods and Secrets only"));
            }
        };
        let Some(resource) = state.kinds.find("", "v1", plural) else { return Err(Status::no_resource()) };
        let holder = state.get(&resource, namespace, other)?;
        if kind == Some("Pod") && holder.value["spec"]["serviceAccountName"] != name {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name."
            )));
        }
        about[kind.unwrap_or_default().to_lowercase()] = json!({"name": other, "uid": holder.uid()});
    }
    let id = state.uid();
    let claims = json!({
        "aud": audiences, "iat": now, "nbf": now, "exp": now + seconds, "iss": ISSUER, "jti": id,
        "kubernetes.io": about,
        "sub": format!("system:serviceaccount:{}:{name}", namespace.unwrap_or_default()),
    });
    let token = [&json!({"alg": "none"}).to_string(), &claims.to_string(), "unsigned"].map(encoded).join(".");
    let expires = jiff::Timestamp::from_second(now + seconds).unwrap_or(write.now);
    let mut answer = json!({
        "kind": "TokenRequest",
        "apiVersion": VERSION,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": account.uid(),
            "creationTimestamp": write.now(),
        },
        "spec": {"expirationSeconds": seconds},
    });
    if spec["audiences"].is_array() {
        answer["spec"]["audiences"] = audiences.clone();
    }
    let manager = Manager::of(write, VERSION, Some("token"));
    managed_fields::note(&mut answer, None, Rules::Builtin(Known::Plain), manager);
    answer["spec"] = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound});
    answer["status"] = json!({"token": token, "expirationTimestamp": time_text(expires)});
    Ok(answer)
}

/// As the parts of a JWT are written: base64 for URLs, without padding.
fn encoded(text: &str) -> String {
    let standard = json!(ByteString(text.as_bytes().to_vec()));
    standard.as_str().unwrap_or_default().trim_end_matches('=').replace('+', "-").replace('/', "_")
}
