//! Recordings as they come in, in bounded memory and time.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Limits;

/// A request that is not answered with a result.
pub struct Refusal {
    status: StatusCode,
    problem: String,
}

impl Refusal {
    /// With what is wrong and what to do.
    pub fn new(status: StatusCode, problem: impl ToString) -> Self {
        Refusal {
            status,
            problem: problem.to_string(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.problem }).to_string();
        let kind = (header::CONTENT_TYPE, "application/json");
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, [kind, (header::RETRY_AFTER, "2")], body).into_response()
            }
            status => (status, [kind], body).into_response(),
        }
    }
}

/// Reads a body of at most so many bytes in at most so long.
pub async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, Refusal> {
    let too_large = || {
        let megabytes = limits.bytes as f64 / 1e6;
        let problem =
            format!("the file is larger than {megabytes} MB; cut it, or raise --max-megabytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, problem)
    };
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > limits.bytes) {
        discard(body, limits).await;
        return Err(too_large());
    }
    match tokio::time::timeout(limits.patience, to_bytes(body, limits.bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) if told.is_none() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the upload broke off; send it again",
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the upload took longer than {:.0} s; send it again",
                limits.patience.as_secs_f64()
            ),
        )),
    }
}

/// A form as browsers and `curl -F` send it.
#[derive(Default)]
pub struct Form {
    /// What the file is called.
    pub name: String,
    /// The file.
    pub recording: Bytes,
    /// The other fields, in order.
    pub texts: Vec<(String, String)>,
}

/// The form that a body is, if its headers say that it is one.
pub async fn form(headers: &HeaderMap, body: Bytes) -> Result<Option<Form>, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let boundary = match multer::parse_boundary(kind) {
        Ok(boundary) => boundary,
        Err(multer::Error::NoBoundary) => return Err(broken(&multer::Error::NoBoundary)),
        Err(_) => return Ok(None),
    };
    let mut fields = multer::Multipart::new(Body::from(body).into_data_stream(), boundary);
    let mut form = Form::default();
    let mut files = 0;
    while let Some(field) = fields.next_field().await.map_err(|error| broken(&error))? {
        if let Some(name) = field.file_name() {
            form.name = name.to_owned();
            form.recording = field.bytes().await.map_err(|error| broken(&error))?;
            files += 1;
        } else {
            let name = field.name().unwrap_or_default().to_owned();
            let text = field.text().await.map_err(|error| broken(&error))?;
            form.texts.push((name, text));
        }
    }
    if files != 1 {
        let problem =
            format!("the form holds {files} files; send one, as `curl -F file=@voice.wav` does");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, problem));
    }
    Ok(Some(form))
}

fn broken(error: &multer::Error) -> Refusal {
    let problem =
        format!("the form is broken ({error}); send it as `curl -F file=@voice.wav` does");
    Refusal::new(StatusCode::BAD_REQUEST, problem)
}

/// Takes what is still coming and keeps none of it, so that the sender reads the answer and not of a broken connection; for a
/// while, and no more than ten times what an upload may be.
pub async fn discard(mut body: Body, limits: &Limits) {
    let mut left = limits.bytes.saturating_mul(10);
    let taking = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            match left.checked_sub(frame.data_ref().map_or(0, |bytes| bytes.len())) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Whether it was all that came or not, the answer is the same.
    let _ = tokio::time::timeout(limits.patience, taking).await;
}
