//! Every text and every sentence there is, under the key of the template files, with the variables it may name.

use crate::domain::words::words;

words! {
    /// A text or a sentence.
    Phrase {
        /// To the customer of a new ride.
        ConfirmationCustomer = "confirmation_customer",
        /// To the driver of a new ride.
        ConfirmationDriver = "confirmation_driver",
        /// To the customer: another time or place.
        ChangeCustomer = "change_customer",
        /// To the driver: another time or place.
        ChangeDriver = "change_driver",
        /// To the customer: another driver.
        NewDriver = "new_driver",
        /// To either: another number.
        NewNumber = "new_number",
        /// To either: contact is closed, because the number is out of service and there was no other.
        Stranded = "stranded",
        /// To whoever texts a number without having a ride there.
        AutoReply = "auto_reply",
        /// Said to a caller whom we connect to nobody.
        NoContact = "no_contact",
        /// Said to a caller while we cannot look up their ride.
        OutOfOrder = "out_of_order",
        /// Said to a caller whose other party did not pick up.
        NotReached = "not_reached",
    }

    /// What can be put into a notice of a ride.
    Variable {
        /// The reader's name.
        Name = "name",
        /// The other party's name.
        Other = "other",
        /// Where the ride starts.
        Start = "start",
        /// Where it ends.
        Destination = "destination",
        /// Its time in words.
        When = "when",
    }
}

impl Phrase {
    /// The variables it may name: all in a notice of a ride, none where there is no ride.
    pub fn variables(self) -> Vec<(&'static str, Variable)> {
        match self {
            Self::AutoReply | Self::NoContact | Self::OutOfOrder | Self::NotReached => Vec::new(),
            _ => Variable::ALL.iter().map(|variable| (variable.as_str(), *variable)).collect(),
        }
    }
}
