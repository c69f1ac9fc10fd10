//! JSON bodies of requests.

use poem::{FromRequest, Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
};
use serde_json::Value;

use super::{Field, FromFields, Inner, Parameters, UnknownParameters};
use crate::{
    domain::error::FieldError,
    http::{
        json,
        problem::{Code, Problem},
    },
};

/// A JSON body, read whole.
pub(in crate::http) struct JsonBody<T> {
    /// What it says.
    pub(in crate::http) value: T,
    /// The same in canonical form, to tell a repeated request from another one.
    pub(in crate::http) canonical: Vec<u8>,
}

/// A JSON body whose handler has more to check than its fields, so that all that is wrong is named at once.
pub(in crate::http) struct Draft<T> {
    read: Result<T, Vec<FieldError>>,
    given: Value,
}

impl<T> Draft<T> {
    /// A field of it is wrong by itself.
    pub(in crate::http) fn is_wrong(&self) -> bool {
        self.read.is_err()
    }

    /// A field, if it is there and right by itself.
    pub(in crate::http) fn peek<F: Field>(&self, name: &str) -> Option<F> {
        peek(&self.given, name)
    }

    /// What `each` makes of the items of a list in it, right or not.
    pub(in crate::http) fn items<U>(&self, name: &str, each: impl Fn(&Value) -> U) -> Vec<U> {
        self.given.get(name).and_then(Value::as_array).into_iter().flatten().map(each).collect()
    }

    /// Body and parameters were right, and nothing more is wrong, or this is what to answer.
    pub(in crate::http) fn finish(self, parameters: Parameters, more: Vec<FieldError>) -> Result<JsonBody<T>, Problem> {
        let (value, mut wrong) = match self.read {
            Ok(value) => (Some(value), Vec::new()),
            Err(wrong) => (None, wrong),
        };
        wrong.extend(more);
        parameters.finish_with(wrong)?;
        // Keys are sorted by the map: one request, one form.
        let canonical = self.given.to_string().into_bytes();
        value.map(|value| JsonBody { value, canonical }).ok_or_else(|| Problem::of(Code::InvalidRequest))
    }
}

/// A field of an object, if it is there and right by itself.
pub(in crate::http) fn peek<F: Field>(object: &Value, name: &str) -> Option<F> {
    F::read_whole(object.get(name)?.clone()).ok()
}

impl<'a, T: FromFields> ApiExtractor<'a> for Draft<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let strays = || UnknownParameters::of(request);
        if !is_json(request.header(header::CONTENT_TYPE)) || is_encoded(request) {
            return Err(Problem::of(Code::UnsupportedMediaType).with_errors(strays()).into());
        }
        let bytes = <Vec<u8> as FromRequest>::from_request(request, body).await?;
        let Some((given, repeated)) = json::parse(&bytes) else {
            return Err(Problem::of(Code::MalformedJson).with_errors(strays()).into());
        };
        let read = Inner::read_whole(given.clone()).map(|Inner(value)| value);
        let read = match (read, repeated.is_empty()) {
            (read, true) => read,
            (Ok(_), false) => Err(repeated),
            (Err(wrong), false) => Err([repeated, wrong].concat()),
        };
        Ok(Self { read, given })
    }
}

impl<'a, T: FromFields> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = Draft::<T>::TYPES;

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Draft::<T>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Draft::<T>::request_meta()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let draft = <Draft<T> as ApiExtractor>::from_request(request, body, options).await?;
        let parameters = <Parameters as FromRequest>::from_request(request, body).await?;
        Ok(draft.finish(parameters, Vec::new())?)
    }
}

/// The body is compressed or otherwise encoded: nothing here decodes it.
pub(in crate::http) fn is_encoded(request: &Request) -> bool {
    let codings = request.headers().get_all(header::CONTENT_ENCODING);
    codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return false };
    let mut pieces = content_type.split(';').map(str::trim);
    let is_json = pieces.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let charset = pieces.find_map(|piece| piece.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    is_json && charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"))
}
