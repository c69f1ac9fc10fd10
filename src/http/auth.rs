//! Permission as a parameter: a handler that takes [`Allowed<R>`] runs only for callers with that right.

use std::marker::PhantomData;

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions, OAuthScopes,
    registry::{MetaOAuthFlow, MetaOAuthFlows, MetaOAuthScope, MetaSecurityScheme, Registry},
};

use super::{
    fields::UnknownParameters,
    problem::{Code, Problem},
};
use crate::{
    domain::{client::ApiCaller, scope::Scope},
    service,
};

/// Name of the security scheme in the document.
pub(super) const SCHEME: &str = "client_credentials";

/// Where tokens are issued.
pub(super) const TOKEN_PATH: &str = "/oauth/token";

/// What a handler asks for: one right, or [`BothRights`] of two.
pub(super) trait Right: Send + Sync + 'static {
    const SCOPES: &'static [Scope];
}

/// Two rights, of which a caller needs both.
pub(super) struct BothRights<A, B>(PhantomData<(A, B)>);

impl<A: Right, B: Right> Right for BothRights<A, B> {
    const SCOPES: &'static [Scope] = &[A::SCOPES[0], B::SCOPES[0]];
}

macro_rules! rights {
    ($($right:ident),+ $(,)?) => {$(
        pub(super) struct $right;

        impl Right for $right {
            const SCOPES: &'static [Scope] = &[Scope::$right];
        }
    )+};
}

rights!(
    CustomersRead,
    CustomersWrite,
    DriversRead,
    DriversWrite,
    NumbersRead,
    NumbersWrite,
    RidesRead,
    RidesWrite,
    MessagesRead,
    MessagesWrite,
    CallsRead,
    PhoneNumbersReveal,
    EventsManage,
    EventsAdmin,
    ClientsManage,
    SimulatorUse,
);

/// A caller who has the right `R`.
pub(super) struct Allowed<R> {
    pub(super) caller: ApiCaller,
    right: PhantomData<R>,
}

impl<R> Allowed<R> {
    /// The caller may see people's phones in clear.
    pub(super) fn reveals(&self) -> bool {
        self.caller.scopes.has(Scope::PhoneNumbersReveal)
    }

    /// The caller may read calls.
    pub(super) fn reads_calls(&self) -> bool {
        self.caller.scopes.has(Scope::CallsRead)
    }

    /// The caller may read texts.
    pub(super) fn reads_texts(&self) -> bool {
        self.caller.scopes.has(Scope::MessagesRead)
    }
}

impl<'a, R: Right> ApiExtractor<'a> for Allowed<R> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let flow = MetaOAuthFlow {
            authorization_url: None,
            token_url: Some(TOKEN_PATH),
            refresh_url: None,
            scopes: Scope::meta(),
        };
        let scheme = MetaSecurityScheme {
            ty: "oauth2",
            description: Some("Client credentials: the id and secret of an API client."),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: Some(MetaOAuthFlows {
                implicit: None,
                password: None,
                client_credentials: Some(flow),
                authorization_code: None,
            }),
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        let token = bearer(request).ok_or_else(|| Problem::of(Code::Unauthorized))?;
        let ctx = super::context::of(request);
        let caller = service::auth::authenticate(ctx, token).await.map_err(Problem::from)?;
        if let Some(missing) = R::SCOPES.iter().find(|scope| !caller.scopes.has(**scope)) {
            return Err(Problem::missing_scope(missing.as_str()).into());
        }
        if let Some(strays) =
            request.data::<UnknownParameters>().filter(|strays| strays.are_all && !strays.errors.is_empty())
        {
            return Err(Problem::of(Code::InvalidParameter).with_errors(strays.errors.clone()).into());
        }
        Ok(Self { caller, right: PhantomData })
    }
}

/// The only `Authorization` header. Of several, somebody in between may have checked another one than we do.
pub(super) fn authorization(request: &Request) -> Option<&str> {
    let mut all = request.headers().get_all(header::AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    only.to_str().ok()
}

fn bearer(request: &Request) -> Option<&str> {
    let (kind, token) = authorization(request)?.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The scopes in the document. Which operation names which is said beside its path; a test that walks the document
/// proves that it is the one asked for.
impl OAuthScopes for Scope {
    fn meta() -> Vec<MetaOAuthScope> {
        Self::ALL
            .iter()
            .map(|scope| MetaOAuthScope { name: scope.as_str(), description: Some(scope.meaning()) })
            .collect()
    }

    fn name(&self) -> &'static str {
        self.as_str()
    }
}
