//! A small API client, like one in a platform's backend. It prints a line for each request.

use std::time::Duration;

use http::{Method, header};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::form_urlencoded;

use super::terminal::Terminal;
use crate::{app::FirstClient, cli::outcome::Outcome};

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    token: Option<String>,
    terminal: Terminal,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Fields of a problem document that say what went wrong.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

struct Sent {
    kind: &'static str,
    body: String,
}

impl Client {
    pub(super) fn new(terminal: Terminal, base_url: &str) -> Outcome<Self> {
        // The server is on this machine, so a proxy from the environment must not be used.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, base_url: base_url.to_owned(), token: None, terminal })
    }

    /// Signs in with OAuth 2 client credentials, sent in the form.
    pub(super) async fn sign_in(&mut self, first: &FirstClient) -> Outcome<()> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &first.client_id)
            .append_pair("client_secret", first.secret.expose_secret())
            .finish();
        let form = Sent { kind: "application/x-www-form-urlencoded", body };
        let token: Token = self.told(Method::POST, "/oauth/token", Some(form)).await?;
        self.token = Some(token.access_token);
        Ok(())
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.told(Method::POST, path, Some(json(body))).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.told(Method::PATCH, path, Some(json(body))).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.told(Method::GET, path, None).await
    }

    /// Sends a GET without printing a line, for polling. Returns the JSON as received.
    pub(super) async fn look(&self, path: &str) -> Outcome<String> {
        let (status, body) = self.exchange(&Method::GET, path, None).await?;
        accepted(&Method::GET, path, status, body)
    }

    async fn told<T: DeserializeOwned>(&self, method: Method, path: &str, sent: Option<Sent>) -> Outcome<T> {
        let (status, body) = self.exchange(&method, path, sent).await?;
        self.terminal.request(&method, path, status)?;
        let body = accepted(&method, path, status, body)?;
        Ok(serde_json::from_str(&body).map_err(|_| format!("{method} {path} did not answer what it should"))?)
    }

    async fn exchange(&self, method: &Method, path: &str, sent: Option<Sent>) -> Outcome<(http::StatusCode, String)> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base_url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(sent) = sent {
            request = request.header(header::CONTENT_TYPE, sent.kind).body(sent.body);
        }
        let unanswered = |cause: reqwest::Error| format!("{method} {path} got no answer: {}", cause.without_url());
        let response = request.send().await.map_err(unanswered)?;
        Ok((response.status(), response.text().await.map_err(unanswered)?))
    }
}

fn json(body: &Value) -> Sent {
    Sent { kind: "application/json", body: body.to_string() }
}

fn accepted(method: &Method, path: &str, status: http::StatusCode, body: String) -> Outcome<String> {
    if status.is_success() {
        return Ok(body);
    }
    let why = match serde_json::from_str::<Problem>(&body) {
        Ok(Problem { code, detail }) => format!("{code}: {detail}"),
        Err(_) => "without saying why".to_owned(),
    };
    Err(format!("{method} {path} was answered {status}, {why}").into())
}
