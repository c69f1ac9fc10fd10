//! Telling both people of their ride.

use crate::{
    domain::{
        error::{Error, Result},
        ids::NumberId,
        message::MessageKind,
        notice::{About, RideNotice},
        number::ProviderName,
        person::{Person, Role},
        ride::Ride,
    },
    service::{Service, messages::Owing},
    store::{Tx, numbers, people},
};

impl Service {
    /// Tells both people of their ride.
    pub(super) async fn owe_notices(
        &self,
        tx: &Tx,
        about: About,
        ride: &Ride,
        customer: &Person,
        driver: &Person,
    ) -> Result<()> {
        let provider = provider_of(tx, ride.number_id).await?;
        for (to, person, other) in [(Role::Customer, customer, driver), (Role::Driver, driver, customer)] {
            let notice = RideNotice {
                about,
                to,
                name: &person.name,
                other: &other.name,
                start: &ride.start,
                destination: &ride.destination,
                datetime: ride.datetime,
            };
            let owing = Owing {
                ride_id: ride.id,
                kind: MessageKind::Notice,
                from: None,
                to,
                body: notice.text(),
                media: Vec::new(),
                provider: provider.clone(),
                number_id: ride.number_id,
                received_at: None,
            };
            self.owe(tx, owing, self.now()).await?;
        }
        Ok(())
    }

    /// Tells both people, while they have contact, that time or place of their ride are others.
    pub(super) async fn tell_of_change(&self, tx: &Tx, ride: &Ride) -> Result<()> {
        let customer = people::find(tx, Role::Customer, ride.customer_id).await?;
        let driver = people::find(tx, Role::Driver, ride.driver_id).await?;
        match (customer, driver) {
            (Some(customer), Some(driver)) => self.owe_notices(tx, About::Change, ride, &customer, &driver).await,
            _ => Ok(()),
        }
    }
}

async fn provider_of(tx: &Tx, number: NumberId) -> Result<ProviderName> {
    let line = numbers::line(tx, number).await?;
    line.map(|(_, provider)| provider).ok_or_else(|| Error::internal("a ride's number is gone"))
}
