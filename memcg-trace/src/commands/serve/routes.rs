//! What is answered to a request.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::board::Board;
use crate::report::metrics::MetricsFormat;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Says what is where.
const INDEX: &str = include_str!("index.html");

/// Answers a request. Its body is never read.
pub async fn answer<B>(board: &Board, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => get(board, request.uri().path(), request.headers()).await,
        _ => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            // There may be a body, which nobody wants to read.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn get(board: &Board, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    match path {
        "/" => text(StatusCode::OK, HTML, INDEX),
        "/metrics" => {
            let format = format_of(headers);
            match board.metrics.get().await {
                Some(page) => text(StatusCode::OK, format.content_type(), page.render(format)),
                None => starting(),
            }
        }
        "/leaks.json" => match board.leaks.get().await {
            Some(leaks) => text(StatusCode::OK, JSON, Bytes::clone(&leaks)),
            None => starting(),
        },
        "/livez" if board.is_alive() => text(StatusCode::OK, TEXT, "ok\n"),
        "/livez" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the perf buffers are not drained\n"),
        "/readyz" if board.is_ready() => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => starting(),
        _ => text(StatusCode::NOT_FOUND, TEXT, "no such page; see /\n"),
    }
}

fn starting() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting: hooks are being attached, memcgs are being read\n")
}

/// Too many requests.
pub fn too_many() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, TEXT, "too many requests\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// OpenMetrics for those who like it at least as much as the classic format; that one for all others (RFC 9110, 12.5.1).
fn format_of(headers: &HeaderMap) -> MetricsFormat {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut classic) = (0.0_f32, 0.0_f32);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        match kind {
            "application/openmetrics-text" => open = open.max(weight.unwrap_or(0.0)),
            "text/plain" => classic = classic.max(weight.unwrap_or(0.0)),
            _ => {}
        }
    }
    if open > 0.0 && open >= classic { MetricsFormat::OpenMetrics } else { MetricsFormat::Classic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                          q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let table = [
            (prometheus, MetricsFormat::OpenMetrics),
            ("application/openmetrics-text", MetricsFormat::OpenMetrics),
            ("text/plain;version=0.0.4, application/openmetrics-text;q=0.5", MetricsFormat::Classic),
            ("application/openmetrics-text;q=0", MetricsFormat::Classic),
            ("application/openmetrics-text;q=often", MetricsFormat::Classic),
            ("*/*", MetricsFormat::Classic),
            ("", MetricsFormat::Classic),
        ];
        for (accept, format) in table {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(format_of(&headers), format, "{accept}");
        }
        assert_eq!(format_of(&HeaderMap::new()), MetricsFormat::Classic);
    }
}
