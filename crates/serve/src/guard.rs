//! What keeps other sites out of the page and the page from other sites.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::upload::Refusal;

/// Scripts and styles of this server only, no request to any other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses requests that another site's page makes, and adds what a browser must know to every answer.
pub async fn guard(loopback: bool, request: Request, next: Next) -> Response {
    let mut answer = match allowed(loopback, &request) {
        true => next.run(request).await,
        false => {
            let problem =
                "this page is for the address that `speechlens serve` printed; open that one";
            Refusal::new(StatusCode::FORBIDDEN, problem).into_response()
        }
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A server on loopback answers only to loopback's names: a site whose name was made to lead here (DNS rebinding) has another.
/// And no page of another origin may ask.
fn allowed(loopback: bool, request: &Request) -> bool {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let host: Option<Authority> = text(header::HOST).and_then(|host| host.parse().ok());
    let Some(host) = host else {
        return false;
    };
    let name = host.host().trim_matches(['[', ']']);
    let named = name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let same_origin = match text(header::ORIGIN) {
        Some(origin) => origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin == host.as_str()),
        None => true,
    };
    (named || !loopback) && same_origin
}
