//! Every provider through the same cases: whole rides, forged and odd webhooks, pictures, results of calls.
//!
//! A provider is played by a [`Carrier`](crate::harness::carrier::Carrier), which knows its wire format and nothing of
//! our code. A new provider adds one to [`every`] and to the list of [`for_every_provider`].

pub mod bandwidth;
mod calls;
mod forged;
pub mod messagebird;
mod odd;
pub mod plivo;
mod ride;
pub mod stage;
pub mod telnyx;
mod texts;
mod together;
pub mod twilio;
pub mod vonage;

use std::sync::Arc;

use crate::harness::carrier::Carrier;

/// All of them.
pub fn every() -> Vec<Arc<dyn Carrier>> {
    vec![
        Arc::new(bandwidth::Bandwidth),
        Arc::new(messagebird::MessageBird),
        Arc::new(plivo::Plivo),
        Arc::new(telnyx::Telnyx),
        Arc::new(twilio::Twilio),
        Arc::new(vonage::Vonage),
    ]
}

/// Runs a case for every provider, on both databases.
macro_rules! for_every_provider {
    ($(async fn $name:ident($carrier:ident, $kind:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn case($carrier: std::sync::Arc<dyn crate::harness::carrier::Carrier>, $kind: crate::harness::Kind) $body

            crate::carriers::for_every_provider! { @ case
                bandwidth Bandwidth, messagebird MessageBird, plivo Plivo, telnyx Telnyx, twilio Twilio, vonage Vonage
            }
        }
    )+};
    (@ $case:ident $($module:ident $carrier:ident),+) => {$(
        mod $module {
            use crate::{carriers::$module::$carrier, harness::{Kind, on_both_databases}};

            on_both_databases! {
                async fn works(kind: Kind) {
                    super::super::$case(std::sync::Arc::new($carrier), kind).await;
                }
            }
        }
    )+};
}

pub(crate) use for_every_provider;
