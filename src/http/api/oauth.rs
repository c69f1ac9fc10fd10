//! `POST /oauth/token`: client credentials (RFC 6749, sections 2.3.1, 4.4 and 5).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Duration;
use poem::{FromRequest, Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, OpenApi,
    payload::Json,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type as _,
};

use super::group::Group;
use crate::{
    domain::scope::Scopes,
    http::{
        auth::authorization,
        fields::{is_encoded, view},
        origin,
        problem::{Answer, Code, Problem},
    },
    service::{
        Context, auth,
        auth::{IssuedToken, TokenRefusal},
    },
};

view! {
    /// The form of a token request. The client signs in with HTTP Basic or with the two fields.
    TokenForm as "TokenForm" {
        /// Always `client_credentials`.
        grant_type: String,
        /// Id of the client, unless it is in the `Authorization` header.
        client_id: Option<String>,
        /// Its secret, unless it is in the `Authorization` header.
        client_secret: Option<String>,
        /// Scopes, with spaces between them; all that the client may have unless you say otherwise.
        scope: Option<String>,
    }
}

view! {
    /// An access token.
    Token as "Token" {
        /// The token, for the header `Authorization: Bearer ...`.
        access_token: String,
        /// Always `Bearer`.
        token_type: String,
        /// How long it lives, in seconds.
        expires_in: i64,
        /// What it may do.
        scope: String,
    }
}

view! {
    /// Why there is no token.
    OAuthError as "OAuthError" {
        /// A code of RFC 6749, section 5.2.
        error: String,
        /// The same in words.
        error_description: String,
    }
}

/// Fields that are looked at. A token request has four, and each costs memory before anybody has signed in.
const MOST_FIELDS: usize = 50;

#[derive(ApiResponse)]
enum TokenAnswer {
    /// A token.
    #[oai(status = 200)]
    IssuedToken(Json<Token>, #[oai(header = "Cache-Control")] String),
    /// The request is not one for a token.
    #[oai(status = 400)]
    Refused(Json<OAuthError>, #[oai(header = "Cache-Control")] String),
    /// The client is unknown, its secret is wrong, or it is revoked.
    #[oai(status = 401)]
    Denied(Json<OAuthError>, #[oai(header = "WWW-Authenticate")] String, #[oai(header = "Cache-Control")] String),
    /// The same (`invalid_client`), after more than 10 wrong secrets in a minute for this client id or from this
    /// address (for IPv6, its /64). Wait for `Retry-After` seconds, and check the secret. The right secret always gets
    /// a token, even now.
    #[oai(status = 429)]
    TooMany(Json<OAuthError>, #[oai(header = "Retry-After")] i64, #[oai(header = "Cache-Control")] String),
}

impl TokenAnswer {
    fn issued(issued: IssuedToken) -> Self {
        let token = Token {
            access_token: issued.token,
            token_type: "Bearer".to_owned(),
            expires_in: issued.lifetime.num_seconds(),
            scope: issued.scopes.to_string(),
        };
        Self::IssuedToken(Json(token), "no-store".to_owned())
    }

    fn too_many(retry_after: Duration) -> Self {
        let description = "The client is unknown, or its secret is wrong. There were too many wrong secrets for this \
                           client id or from this address: wait before you try again.";
        let body = OAuthError { error: "invalid_client".to_owned(), error_description: description.to_owned() };
        Self::TooMany(Json(body), retry_after.num_seconds().max(1), "no-store".to_owned())
    }

    fn refused(error: &str, description: &str) -> Self {
        let body = OAuthError { error: error.to_owned(), error_description: description.to_owned() };
        if error == "invalid_client" {
            Self::Denied(Json(body), r#"Basic realm="maskline""#.to_owned(), "no-store".to_owned())
        } else {
            Self::Refused(Json(body), "no-store".to_owned())
        }
    }
}

/// A token request as it arrived.
struct TokenRequest {
    form: Vec<(String, String)>,
    basic: Option<Option<(String, String)>>,
    /// Where it came from.
    address: Option<IpAddr>,
}

impl<'a> ApiExtractor<'a> for TokenRequest {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        TokenForm::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content_type = "application/x-www-form-urlencoded";
        let content = vec![MetaMediaType { content_type, schema: TokenForm::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.header(header::CONTENT_TYPE).unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") || is_encoded(request) {
            return Err(Problem::of(Code::UnsupportedMediaType).into());
        }
        let bytes = <Vec<u8> as FromRequest>::from_request(request, body).await?;
        let form = url::form_urlencoded::parse(&bytes).into_owned().take(MOST_FIELDS + 1).collect();
        let is_basic = request.headers().contains_key(header::AUTHORIZATION);
        let basic = is_basic.then(|| authorization(request).and_then(basic));
        Ok(Self { form, basic, address: origin::address(request) })
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (kind, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| kind.eq_ignore_ascii_case("basic"))?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

impl TokenRequest {
    /// The fields, each at most once.
    fn fields(&self) -> Option<HashMap<&str, &str>> {
        if self.form.len() > MOST_FIELDS {
            return None;
        }
        let mut fields = HashMap::new();
        let all = self.form.iter().filter(|(_, value)| !value.is_empty());
        for (name, value) in all {
            if fields.insert(name.as_str(), value.as_str()).is_some() {
                return None;
            }
        }
        Some(fields)
    }
}

pub(in crate::http) struct OAuthApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Authorization")]
impl OAuthApi {
    /// Get an access token
    ///
    /// OAuth 2 client credentials. Sign in with HTTP Basic, or with `client_id` and `client_secret` in the form. The
    /// token lives an hour, and never longer than the secret: one that was replaced by a rotation works for 24 hours.
    #[oai(path = "/oauth/token", method = "post", operation_id = "get_token")]
    async fn token(&self, request: TokenRequest) -> Answer<TokenAnswer> {
        let Some(fields) = request.fields() else {
            return Ok(TokenAnswer::refused("invalid_request", "A field is repeated, or there are too many."));
        };
        let credentials = match &request.basic {
            Some(Some(_)) if fields.contains_key("client_secret") => {
                return Ok(TokenAnswer::refused("invalid_request", "Sign in by one method, not two."));
            }
            Some(basic) => basic.clone(),
            None => match (fields.get("client_id"), fields.get("client_secret")) {
                (Some(id), Some(secret)) => Some(((*id).to_owned(), (*secret).to_owned())),
                _ => None,
            },
        };
        match fields.get("grant_type").copied() {
            Some("client_credentials") => {}
            Some(_) => return Ok(TokenAnswer::refused("unsupported_grant_type", "Only client_credentials is.")),
            None => return Ok(TokenAnswer::refused("invalid_request", "grant_type is required.")),
        }
        let Some((id, secret)) = credentials else {
            return Ok(TokenAnswer::refused(
                "invalid_client",
                "Sign in with HTTP Basic or client_id and client_secret.",
            ));
        };
        let scopes = match fields.get("scope").map(|words| Scopes::parse(words)) {
            Some(None) => return Ok(TokenAnswer::refused("invalid_scope", "A scope is unknown.")),
            Some(Some(scopes)) if scopes.is_empty() => None,
            Some(scopes) => scopes,
            None => None,
        };
        // RFC 6749 has id and secret form-encoded inside HTTP Basic; most programs send them as they are.
        let decoded = (decode(&id), decode(&secret));
        let mut readings = vec![(id.as_str(), secret.as_str())];
        if request.basic.is_some() && (decoded.0 != id || decoded.1 != secret) {
            readings.insert(0, (&decoded.0, &decoded.1));
        }
        match auth::issue_token(&self.ctx, &readings, scopes, request.address).await {
            Ok(issued) => Ok(TokenAnswer::issued(issued)),
            Err(TokenRefusal::InvalidClient) => {
                Ok(TokenAnswer::refused("invalid_client", "The client is unknown, or its secret is wrong."))
            }
            Err(TokenRefusal::TooManyWrongSecrets { retry_after }) => Ok(TokenAnswer::too_many(retry_after)),
            Err(TokenRefusal::InvalidScope) => {
                Ok(TokenAnswer::refused("invalid_scope", "The client may not have one of these scopes."))
            }
            Err(TokenRefusal::Failed(cause)) => Err(cause.into()),
        }
    }
}

fn decode(text: &str) -> String {
    let pair = format!("v={}", text.replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
