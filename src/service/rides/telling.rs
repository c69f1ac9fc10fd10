//! Telling both people of their ride.

use crate::{
    domain::{
        error::{Error, Result},
        ids::NumberId,
        message::MessageKind,
        notice::{About, RideNotice},
        person::{Person, Role},
        ride::Ride,
    },
    service::{Context, messages::Owing},
    store::{Tx, numbers, people},
};

/// The two people of a ride.
pub(super) struct Parties {
    pub(super) customer: Person,
    pub(super) driver: Person,
}

impl Parties {
    pub(super) fn of(&self, role: Role) -> &Person {
        match role {
            Role::Customer => &self.customer,
            Role::Driver => &self.driver,
        }
    }
}

/// Tells both people of their ride, from its number.
pub(super) async fn tell_both(ctx: &Context, tx: &Tx, about: About, ride: &Ride, parties: &Parties) -> Result<()> {
    tell(ctx, tx, (about, Role::Customer), ride, parties, ride.number_id).await?;
    tell(ctx, tx, (about, Role::Driver), ride, parties, ride.number_id).await
}

/// Tells one of them, from this number.
pub(super) async fn tell(
    ctx: &Context,
    tx: &Tx,
    (about, to): (About, Role),
    ride: &Ride,
    parties: &Parties,
    number_id: NumberId,
) -> Result<()> {
    let line = numbers::line(tx, number_id).await?;
    let (_, provider) = line.ok_or_else(|| Error::internal("a ride's number is gone"))?;
    let notice = RideNotice {
        about,
        to,
        name: &parties.of(to).name,
        other: &parties.of(to.other()).name,
        start: &ride.start,
        destination: &ride.destination,
        datetime: ride.datetime,
    };
    let owing = Owing {
        ride_id: ride.id,
        driver_id: ride.driver_id,
        kind: MessageKind::Notice,
        from: None,
        to,
        body: ctx.words.of(parties.of(to).language.as_ref()).notice(&notice),
        media: Vec::new(),
        provider,
        number_id,
        unbound: about == About::Stranded,
        received_at: None,
        position: None,
    };
    crate::service::messages::owe(ctx, tx, owing, ctx.now()).await?;
    Ok(())
}

/// Tells both people that time or place of their ride are others.
pub(super) async fn tell_of_change(ctx: &Context, tx: &Tx, ride: &Ride) -> Result<()> {
    let customer = people::find(tx, Role::Customer, ride.customer_id).await?;
    let driver = people::find(tx, Role::Driver, ride.driver_id).await?;
    // Whose contact is over may have been erased.
    let Some((customer, driver)) = customer.zip(driver) else { return Ok(()) };
    tell_both(ctx, tx, About::Change, ride, &Parties { customer, driver }).await
}

/// Tells the customer of another driver, and the driver of the ride.
pub(super) async fn tell_of_next_driver(ctx: &Context, tx: &Tx, ride: &Ride, parties: &Parties) -> Result<()> {
    tell(ctx, tx, (About::NewDriver, Role::Customer), ride, parties, ride.number_id).await?;
    tell(ctx, tx, (About::Confirmation, Role::Driver), ride, parties, ride.number_id).await
}
