//! Notices: texts that inform the two people about their ride.

use super::{
    Context,
    outgoing::{OutgoingText, enqueue},
};
use crate::{
    domain::{
        error::{Error, Result},
        ids::NumberId,
        message::MessageKind,
        notice::{About, RideNotice},
        person::{Parties, Role},
        ride::Ride,
    },
    store::{Tx, numbers, people},
};

/// Notifies both people, from the ride's number.
pub(super) async fn notify_both(ctx: &Context, tx: &Tx, about: About, ride: &Ride, parties: &Parties) -> Result<()> {
    notify(ctx, tx, (about, Role::Customer), ride, parties, ride.number_id).await?;
    notify(ctx, tx, (about, Role::Driver), ride, parties, ride.number_id).await
}

/// Notifies one of them, from this number.
pub(super) async fn notify(
    ctx: &Context,
    tx: &Tx,
    (about, to): (About, Role),
    ride: &Ride,
    parties: &Parties,
    number_id: NumberId,
) -> Result<()> {
    let provider = numbers::provider(tx, number_id).await?;
    let provider = provider.ok_or_else(|| Error::internal("a ride's number is gone"))?;
    let notice = RideNotice {
        about,
        to,
        name: &parties.of(to).name,
        other: &parties.of(to.other()).name,
        start: &ride.start,
        destination: &ride.destination,
        datetime: ride.datetime,
    };
    let text = OutgoingText {
        ride_id: ride.id,
        driver_id: ride.driver_id,
        kind: MessageKind::Notice,
        from: None,
        to,
        body: ctx.settings.catalogue.of(parties.of(to).language.as_ref()).notice(&notice),
        media: Vec::new(),
        provider,
        number_id,
        ignores_window: about == About::Stranded,
        received_at: None,
        position: None,
    };
    enqueue(ctx, tx, text, ctx.now()).await?;
    Ok(())
}

/// Notifies both people that the time or place of their ride changed.
pub(super) async fn notify_of_change(ctx: &Context, tx: &Tx, ride: &Ride) -> Result<()> {
    let customer = people::find(tx, Role::Customer, ride.customer_id).await?;
    let driver = people::find(tx, Role::Driver, ride.driver_id).await?;
    // A person without open contact may have been erased.
    let Some((customer, driver)) = customer.zip(driver) else { return Ok(()) };
    notify_both(ctx, tx, About::Change, ride, &Parties { customer, driver }).await
}

/// Notifies the customer of the new driver, and the driver of the ride.
pub(super) async fn notify_of_next_driver(ctx: &Context, tx: &Tx, ride: &Ride, parties: &Parties) -> Result<()> {
    notify(ctx, tx, (About::NewDriver, Role::Customer), ride, parties, ride.number_id).await?;
    notify(ctx, tx, (About::Confirmation, Role::Driver), ride, parties, ride.number_id).await
}
