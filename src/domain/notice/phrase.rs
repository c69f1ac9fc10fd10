//! All texts and sentences, under their keys in the template files, with the variables that each may use.

use crate::domain::string_enum::string_enum;

string_enum! {
    /// Text of a notice, or sentence of an announcement.
    Phrase {
        /// To the customer of a new ride.
        ConfirmationCustomer = "confirmation_customer",
        /// To the driver of a new ride.
        ConfirmationDriver = "confirmation_driver",
        /// To the customer: the time or a place changed.
        ChangeCustomer = "change_customer",
        /// To the driver: the time or a place changed.
        ChangeDriver = "change_driver",
        /// To the customer: the driver changed.
        NewDriver = "new_driver",
        /// To either party: the number changed.
        NewNumber = "new_number",
        /// To either party: contact is closed, because the number is out of service and no other was free.
        Stranded = "stranded",
        /// To the sender of a text who has no ride on the number.
        AutoReply = "auto_reply",
        /// To a caller whom we cannot connect to anybody.
        NoContact = "no_contact",
        /// To a caller whose ride we cannot look up at the moment.
        OutOfOrder = "out_of_order",
        /// To a caller whose other party did not answer.
        NotReached = "not_reached",
    }

    /// Variable in a ride notice.
    Variable {
        /// Name of the reader.
        Name = "name",
        /// Name of the other party.
        Other = "other",
        Start = "start",
        Destination = "destination",
        /// Time of the ride, written out.
        When = "when",
    }
}

impl Phrase {
    /// Returns the variables that it may use: all in a ride notice, none without a ride.
    pub fn variables(self) -> Vec<(&'static str, Variable)> {
        match self {
            Self::AutoReply | Self::NoContact | Self::OutOfOrder | Self::NotReached => Vec::new(),
            _ => Variable::ALL.iter().map(|variable| (variable.as_str(), *variable)).collect(),
        }
    }
}
