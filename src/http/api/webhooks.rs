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

use super::group::Group;
use crate::{
    domain::outbound::Receiver,
    http::{
        prefix::RequestTarget,
        problem::{Answer, Code, Problem},
    },
    outbound::Outbound,
    provider::{WebhookKind, WebhookRequest, WebhookResponse},
    service::{
        Context,
        intake::{Intake, NoIntake},
    },
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
    pub(in crate::http) ctx: Arc<Context>,
    pub(in crate::http) outbound: Arc<dyn Outbound>,
}

impl WebhooksApi {
    async fn receive(&self, provider: &str, webhook: WebhookKind, request: &Request, body: Body) -> Answer<Dialect> {
        let body = body.into_bytes().await.map_err(|_| Problem::of(Code::MalformedBody))?;
        // The host, and a path before ours, are ours to know, never the request's to say.
        let path = RequestTarget::of(request);
        let request = WebhookRequest {
            method: request.method().clone(),
            url: format!("{}{path}", self.ctx.settings.public_base_url),
            headers: request.headers().clone(),
            body,
        };
        let mut intake = Intake::open(&self.ctx, provider, webhook, &request).map_err(|why| match why {
            NoIntake::NotConfigured => Problem::of(Code::Unauthorized),
            NoIntake::Unknown => Problem::of(Code::NotFound),
            NoIntake::WrongMethod => Problem::of(Code::MethodNotAllowed),
        })?;
        while let Some(question) = intake.next_question().await {
            intake.wait_for(self.outbound.send(Receiver::Interceptor, question)).await;
        }
        Ok(Dialect(intake.response()))
    }
}

/// Declares the operations: every webhook by POST and by GET, since providers differ in which they use.
macro_rules! webhooks {
    ($( $webhook:ident $path:tt: $summary:tt, $description:tt;
        POST $post:ident $post_id:tt; GET $get:ident $get_id:tt; )+) => {
        #[OpenApi(tag = "Group::Webhooks")]
        impl WebhooksApi {
            $(
                #[doc = $summary]
                #[doc = ""]
                #[doc = $description]
                #[oai(path = $path, method = "post", operation_id = $post_id)]
                async fn $post(
                    &self,
                    /// Name of the provider.
                    provider: Path<String>,
                    request: &Request,
                    body: Body,
                ) -> Answer<Dialect> {
                    self.receive(&provider.0, WebhookKind::$webhook, request, body).await
                }

                #[doc = $summary]
                #[doc = ""]
                #[doc = $description]
                #[oai(path = $path, method = "get", operation_id = $get_id)]
                async fn $get(
                    &self,
                    /// Name of the provider.
                    provider: Path<String>,
                    request: &Request,
                    body: Body,
                ) -> Answer<Dialect> {
                    self.receive(&provider.0, WebhookKind::$webhook, request, body).await
                }
            )+
        }
    };
}

webhooks! {
    Sms "/webhooks/:provider/sms":
        "A phone sent a text", "Called by a provider, with its signature and by the method it uses. No scope.";
        POST sms_post "webhook_sms_post"; GET sms_get "webhook_sms_get";
    Voice "/webhooks/:provider/voice":
        "A phone calls", "Called by a provider, with its signature; the answer is a call flow. No scope.";
        POST voice_post "webhook_voice_post"; GET voice_get "webhook_voice_get";
    Status "/webhooks/:provider/status":
        "News of a text or a call", "Called by a provider, with its signature. No scope.";
        POST status_post "webhook_status_post"; GET status_get "webhook_status_get";
}
