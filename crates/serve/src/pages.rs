//! What the browser loads: everything is embedded.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use speechlens_report::exhibit::{SCRIPT, STYLE};

use crate::upload::Refusal;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

static ALL_STYLE: LazyLock<String> =
    LazyLock::new(|| STYLE.clone() + include_str!("../assets/serve.css"));

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub async fn index() -> Response {
    asset(
        "text/html; charset=utf-8",
        include_str!("../assets/serve.html"),
    )
}

pub async fn style() -> Response {
    asset("text/css; charset=utf-8", ALL_STYLE.as_str())
}

pub async fn exhibit() -> Response {
    asset(JAVASCRIPT, SCRIPT)
}

pub async fn serve() -> Response {
    asset(JAVASCRIPT, include_str!("../assets/serve.js"))
}

pub async fn recorder() -> Response {
    asset(JAVASCRIPT, include_str!("../assets/recorder.js"))
}

pub async fn missing() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such page; go to /").into_response()
}
