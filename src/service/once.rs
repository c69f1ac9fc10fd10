//! Requests that are repeated have one effect and one answer (`Idempotency-Key`).

use serde::{Serialize, de::DeserializeOwned};

use super::Service;
use crate::{
    domain::{
        error::{Error, FieldError, Result},
        ids::ClientId,
    },
    store::{
        Tx,
        idempotency::{self, RequestKey, Taken},
    },
};

/// What names a request across repeats, if its sender gave it a key.
pub struct RequestId {
    /// Whose request.
    pub client: ClientId,
    /// The operation.
    pub operation: &'static str,
    /// The key, if there is one.
    pub key: Option<String>,
    /// Fingerprint of the body.
    pub fingerprint: Vec<u8>,
}

/// An answer, and whether it was given before.
pub struct Once<T> {
    /// The answer.
    pub value: T,
    /// It was kept from the first time.
    pub repeated: bool,
}

impl Service {
    /// A keyed fingerprint of a request, for [`RequestId`].
    pub fn fingerprint(&self, request: &[u8]) -> Vec<u8> {
        self.store.fingerprint(request)
    }

    /// Runs a unit of work in a transaction, or answers as the first time if this request was answered before. The
    /// answer is kept, sealed, in the same transaction.
    pub(super) async fn write_once<T, F>(&self, request: &RequestId, work: impl Fn(Tx) -> F) -> Result<Once<T>>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        let (now, work) = (self.now(), &work);
        self.store
            .write(|tx| async move {
                let Some(key) = &request.key else {
                    return Ok(Once { value: work(tx.clone()).await?, repeated: false });
                };
                let key = RequestKey {
                    client: request.client,
                    operation: request.operation,
                    key: key.clone(),
                    fingerprint: request.fingerprint.clone(),
                };
                match idempotency::take(&tx, &key, now).await? {
                    Taken::Fresh => {
                        let value = work(tx.clone()).await?;
                        idempotency::keep(&tx, &key, &serde_json::to_vec(&value).map_err(Error::internal)?).await?;
                        Ok(Once { value, repeated: false })
                    }
                    Taken::Repeated(kept) => {
                        Ok(Once { value: serde_json::from_slice(&kept).map_err(Error::internal)?, repeated: true })
                    }
                    Taken::Misused => Err(Error::Invalid(
                        "idempotency_key_reused",
                        vec![FieldError::new("Idempotency-Key", "was used for another request")],
                    )),
                }
            })
            .await
    }
}
