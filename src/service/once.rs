//! Requests that are repeated have one effect and one answer (`Idempotency-Key`).

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Context,
    comparisons::{counting, require_counted},
};
use crate::{
    domain::{
        client::ApiCaller,
        comparison::{Comparison, StoredSide},
        error::{Error, FieldError, Invalid, Result},
        hex,
    },
    store::{
        Tx,
        idempotency::{self, KeyState, RequestKey},
    },
};

/// Identity of a request across repeats, if its sender gave it a key.
pub struct RequestId {
    pub caller: ApiCaller,
    pub operation: &'static str,
    pub key: Option<String>,
    /// Fingerprint of the body.
    pub fingerprint: Vec<u8>,
}

/// Answer to a request that may have been repeated.
pub struct Once<T> {
    pub value: T,
    /// Whether the answer was kept from the first request.
    pub repeated: bool,
}

/// Returns a keyed fingerprint of a request, for [`RequestId`].
pub fn fingerprint(ctx: &Context, request: &[u8]) -> Vec<u8> {
    ctx.store.fingerprint(request)
}

/// Runs a unit of work in a transaction, or returns the first answer if this request was answered before. The same
/// transaction keeps the answer, sealed. Phones that the work compares are counted first. So is the comparison of the
/// body with the first one: otherwise a caller could guess the body that was sent with a used key.
pub(super) async fn write_once<T, F>(ctx: &Context, request: &RequestId, work: impl Fn(Tx) -> F) -> Result<Once<T>>
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<T>>,
{
    let (now, work) = (ctx.now(), &work);
    let attempt = || {
        ctx.store.write(move |tx| async move {
            let Some(key) = &request.key else {
                return Ok(Once { value: work(tx.clone()).await?, repeated: false });
            };
            let key = RequestKey {
                client: request.caller.id,
                operation: request.operation,
                key: key.clone(),
                fingerprint: request.fingerprint.clone(),
            };
            let taken = idempotency::reserve(&tx, &key, now).await?;
            if !matches!(taken, KeyState::New) {
                let before = ctx.store.fingerprint(format!("{}\n{}", key.operation, key.key).as_bytes());
                let subject = StoredSide::Request(hex::encode(&before));
                let compared = Comparison { subject, digest: key.fingerprint.clone() };
                require_counted(ctx, &tx, &request.caller, [compared]).await?;
            }
            match taken {
                KeyState::New => {
                    let value = work(tx.clone()).await?;
                    idempotency::keep(&tx, &key, &serde_json::to_vec(&value).map_err(Error::internal)?).await?;
                    Ok(Once { value, repeated: false })
                }
                KeyState::Answered(kept) => {
                    Ok(Once { value: serde_json::from_slice(&kept).map_err(Error::internal)?, repeated: true })
                }
                KeyState::Conflicting => Err(Error::Invalid(
                    Invalid::IdempotencyKeyReused,
                    vec![FieldError::new("Idempotency-Key", "was used for another request")],
                )),
            }
        })
    };
    counting(ctx, request.caller.id, attempt).await
}
