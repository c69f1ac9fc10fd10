//! `/webhooks/{provider}/...`: raw bytes in, the provider's dialect out. Everything between is a use case.

use std::sync::Arc;

use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderName, HeaderValue, header},
};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::Path,
    registry::{MetaResponse, MetaResponses, Registry},
};

use super::Group;
use crate::{
    http::problem::{Answer, Problem},
    provider::{Endpoint, WebhookRequest, WebhookResponse},
    service::{Intake, Service},
};

/// An answer in a provider's dialect.
struct Dialect(WebhookResponse);

impl IntoResponse for Dialect {
    fn into_response(self) -> Response {
        let Self(answer) = self;
        let mut response = Response::builder().status(answer.status).body(answer.body);
        let headers = response.headers_mut();
        if let Ok(content_type) = HeaderValue::from_str(answer.content_type) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

impl ApiResponse for Dialect {
    fn meta() -> MetaResponses {
        let description = "Taken. The body is in the provider's dialect; for a call it is the call flow.";
        let response =
            MetaResponse { description, status: Some(200), status_range: None, content: vec![], headers: vec![] };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}

pub(in crate::http) struct WebhooksApi {
    pub(in crate::http) service: Arc<Service>,
}

impl WebhooksApi {
    async fn take(&self, provider: &str, endpoint: Endpoint, request: &Request, body: Body) -> Answer<Dialect> {
        let body = body.into_bytes().await.map_err(|_| Problem::of("malformed_body"))?;
        // The path as received, in its own encoding: signatures are made over it. The host is ours to know, never
        // the request's to say.
        let path = request.original_uri().path_and_query().map_or("/", |path| path.as_str());
        let request = WebhookRequest {
            method: request.method().clone(),
            url: format!("{}{path}", self.service.public_base_url()),
            headers: request.headers().clone(),
            body,
        };
        match self.service.take_webhook(provider, endpoint, &request).await {
            Intake::Answered(answer) => Ok(Dialect(answer)),
            Intake::NotConfigured => Err(Problem::of("unauthorized")),
            Intake::Unknown => Err(Problem::of("not_found")),
            Intake::WrongMethod => Err(Problem::of("method_not_allowed")),
        }
    }
}

#[OpenApi(tag = "Group::Webhooks")]
impl WebhooksApi {
    /// A phone sent a text
    ///
    /// Called by a provider, with its signature. No scope.
    #[oai(path = "/webhooks/:provider/sms", method = "post", operation_id = "webhook_sms_post")]
    async fn sms_post(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Sms, request, body).await
    }

    /// A phone sent a text
    ///
    /// Called by a provider that sends GET, with its signature. No scope.
    #[oai(path = "/webhooks/:provider/sms", method = "get", operation_id = "webhook_sms_get")]
    async fn sms_get(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Sms, request, body).await
    }

    /// A phone calls
    ///
    /// Called by a provider, with its signature; the answer is a call flow. No scope.
    #[oai(path = "/webhooks/:provider/voice", method = "post", operation_id = "webhook_voice_post")]
    async fn voice_post(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Voice, request, body).await
    }

    /// A phone calls
    ///
    /// Called by a provider that sends GET, with its signature; the answer is a call flow. No scope.
    #[oai(path = "/webhooks/:provider/voice", method = "get", operation_id = "webhook_voice_get")]
    async fn voice_get(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Voice, request, body).await
    }

    /// News of a text or a call
    ///
    /// Called by a provider, with its signature. No scope.
    #[oai(path = "/webhooks/:provider/status", method = "post", operation_id = "webhook_status_post")]
    async fn status_post(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Status, request, body).await
    }

    /// News of a text or a call
    ///
    /// Called by a provider that sends GET, with its signature. No scope.
    #[oai(path = "/webhooks/:provider/status", method = "get", operation_id = "webhook_status_get")]
    async fn status_get(
        &self,
        /// Name of the provider.
        provider: Path<String>,
        request: &Request,
        body: Body,
    ) -> Answer<Dialect> {
        self.take(&provider.0, Endpoint::Status, request, body).await
    }
}
