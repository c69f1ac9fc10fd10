//! How rides move, and how long their contact lasts.

use super::{Oracle, Refusal, Status, Time};

/// What a `PATCH` of a ride asks for.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub start: Option<String>,
    pub datetime: Option<Time>,
    pub status: Option<Status>,
    pub quiet: bool,
}

impl Oracle {
    /// The reasons to refuse a change, of which the answer is any; else it happens.
    pub fn change(&mut self, id: i64, change: &Change, now: Time) -> Vec<Refusal> {
        let refusals = self.change_refusals(id, change, now);
        if !refusals.is_empty() {
            return refusals;
        }
        let ride = self.rides.get_mut(&id).expect("a ride");
        let ended = ride.is_over(now);
        if let Some(start) = &change.start {
            ride.start.clone_from(start);
        }
        if let Some(datetime) = change.datetime.filter(|datetime| *datetime != ride.datetime) {
            ride.datetime = datetime;
            ride.timeout_at = datetime + ride.max_duration;
            let first = ride.timeout_at + ride.grace;
            ride.contact_until = ride.floor.map_or(first, |floor| floor.until.max(first));
            if let Some(floor) = &mut ride.floor {
                floor.own = first;
            }
        }
        match change.status {
            Some(Status::InProgress) if !ended => ride.said = Status::InProgress,
            Some(status @ (Status::Completed | Status::Cancelled)) if !ended => {
                let grace = if status == Status::Completed { ride.grace } else { ride.cancel_grace };
                let kept = ride.floor.map_or(now + grace, |floor| floor.until.max(now + grace));
                ride.contact_until = ride.contact_until.min(kept);
                (ride.said, ride.ended_at) = (status, Some(now));
            }
            _ => {}
        }
        let replanned = change.start.is_some() || change.datetime.is_some();
        if replanned && matches!(ride.said, Status::Scheduled | Status::InProgress) && !change.quiet {
            self.owe_notices(id, now);
        }
        Vec::new()
    }

    fn change_refusals(&self, id: i64, change: &Change, now: Time) -> Vec<Refusal> {
        let Some(ride) = self.rides.get(&id).filter(|ride| !ride.deleted) else { return vec![(404, "not_found")] };
        let mut refusals = Vec::new();
        let status = ride.status(now);
        if let Some(datetime) = change.datetime {
            if datetime > now + self.rules.horizon || datetime + ride.max_duration < now {
                refusals.push((422, "invalid_request"));
            }
            if !ride.is_open(now) {
                refusals.push((409, "contact_closed"));
            }
        }
        if (change.datetime.is_some() || change.start.is_some()) && ride.is_over(now) {
            refusals.push((409, "ride_ended"));
        }
        use Status::{Cancelled, Completed, InProgress, Scheduled};
        match (status, change.status) {
            (_, None) | (Scheduled, Some(Scheduled | InProgress | Cancelled)) => {}
            (InProgress, Some(InProgress | Completed | Cancelled)) => {}
            (from, Some(to)) if from == to => {}
            _ => refusals.push((409, "invalid_transition")),
        }
        refusals
    }

    /// Sets the end of contact, or says why not.
    pub fn set_contact(&mut self, id: i64, until: Time, now: Time) -> Vec<Refusal> {
        let limit = self.rules.grace_limit;
        let Some(ride) = self.rides.get_mut(&id).filter(|ride| !ride.deleted) else { return vec![(404, "not_found")] };
        let mut refusals = Vec::new();
        if !ride.is_open(now) {
            refusals.push((409, "contact_closed"));
        }
        // What was promised already may be kept.
        let last = (ride.ended_at.unwrap_or(ride.timeout_at) + limit).max(ride.contact_until);
        if until > last {
            refusals.push((422, "invalid_request"));
        }
        if refusals.is_empty() {
            ride.contact_until = until.max(now);
            ride.floor = None;
        }
        refusals
    }

    /// Deletes a ride, or says why not.
    pub fn delete_ride(&mut self, id: i64, now: Time) -> Vec<Refusal> {
        let Some(ride) = self.rides.get_mut(&id).filter(|ride| !ride.deleted) else { return vec![(404, "not_found")] };
        ride.deleted = true;
        ride.contact_until = ride.contact_until.min(now);
        Vec::new()
    }
}
