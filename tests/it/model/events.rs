//! What happens in a world. Each event asks the service and the oracle, and compares.

mod contacts;
mod people;
mod pool;
mod rides;

use chrono::Duration;

use super::{
    oracle::{Refusal, Role, Time},
    world::{Reply, World},
};

impl World {
    /// Something happens.
    pub async fn step(&mut self, place: u64) {
        self.begin(place);
        match self.dice.u32(..100) {
            0..14 => self.create_ride().await,
            14..18 => self.create_ride_inline().await,
            18..26 => self.move_ride().await,
            26..30 => self.set_contact().await,
            30..33 => self.replan().await,
            33..34 => self.delete_ride().await,
            34..36 => self.look_at_ride().await,
            36..40 => self.change_driver().await,
            40..43 => self.create_person().await,
            43..48 => self.change_phone().await,
            48..50 => self.erase_person().await,
            50..52 => self.add_number().await,
            52..55 => self.change_number().await,
            55..56 => self.delete_number().await,
            56..58 => self.leave_suspended().await,
            58..70 => self.text().await,
            70..71 => self.repeat_text().await,
            71..78 => self.call().await,
            78..81 => self.platform_text().await,
            81..89 => self.pass_time().await,
            89..95 => self.send_due().await,
            95..96 => self.report().await,
            96..98 => self.weather(),
            _ => self.tidy().await,
        }
        let now = self.now();
        self.oracle.check(now);
        if place.is_multiple_of(100) {
            self.check_rows().await;
            self.oracle.tidy(now);
        }
    }

    /// Fails unless the answer is one of the refusals, or, if there are none, this success; `true` if it is that.
    pub(super) fn agree(&mut self, reply: &Reply, refusals: &[Refusal], success: u16) -> bool {
        if refusals.is_empty() {
            assert_eq!(reply.status, success, "the oracle allows it: {}", reply.text);
            return true;
        }
        let answer = (reply.status, reply.code());
        assert!(refusals.contains(&answer), "the oracle says {refusals:?}: {} {}", reply.status, reply.text);
        self.count(&format!("refused: {}", reply.code()));
        false
    }

    /// Time passes: seconds to days, or just up to where something changes.
    async fn pass_time(&mut self) {
        let now = self.now();
        let by = match self.dice.u32(..20) {
            0..8 => Duration::seconds(self.dice.i64(1..60)),
            8..13 => Duration::seconds(self.dice.i64(60..900)),
            13 => Duration::minutes(self.dice.i64(15..180)),
            14 if self.dice.u32(..4) == 0 => Duration::hours(self.dice.i64(3..72)),
            _ => {
                let mut coming: Vec<_> = self.oracle.deadlines().into_iter().filter(|at| *at > now).collect();
                coming.sort();
                let at: Option<Time> = self.dice.choice(coming.into_iter().take(6));
                at.map_or(Duration::seconds(1), |at| at - now + Duration::milliseconds(self.dice.i64(-1..2)))
            }
        };
        self.clock.advance(by);
        self.tell(&format!("time passes: {by}"));
        self.count("time passes");
    }

    /// At the end: all that is owed is sent or fails, and the rows are right.
    pub async fn settle(&mut self, place: u64) {
        self.begin(place);
        self.network.set_down(false);
        self.tell("the end:");
        for _ in 0..20 {
            self.send_due().await;
            self.clock.advance(Duration::minutes(16));
        }
        assert_eq!(self.running.pending_parts().await, 0, "texts are still owed");
        self.tidy().await;
        self.check_rows().await;
    }

    async fn tidy(&mut self) {
        self.tell("tidy");
        self.running.tidy().await;
        self.count("tidied");
    }

    /// The network goes down, or comes back.
    fn weather(&mut self) {
        let down = self.dice.u32(..5) == 0;
        self.network.set_down(down);
        self.tell(if down { "the network is down" } else { "the network is up" });
        self.count(if down { "network down" } else { "network up" });
    }

    /// One of the rides: an open one rather than any.
    pub(super) fn a_ride(&mut self) -> Option<i64> {
        let now = self.now();
        let open: Vec<_> = self.oracle.rides.iter().filter(|(_, ride)| ride.is_open(now)).map(|(id, _)| *id).collect();
        if !open.is_empty() && self.dice.u32(..4) > 0 {
            return self.dice.choice(open);
        }
        let recent: Vec<_> = self.oracle.rides.keys().rev().take(30).copied().collect();
        self.dice.choice(recent)
    }

    /// Somebody in this role.
    pub(super) fn a_person(&mut self, role: Role) -> Option<i64> {
        let people: Vec<_> =
            self.oracle.people.iter().filter(|(_, person)| person.role == role).map(|(id, _)| *id).collect();
        self.dice.choice(people)
    }

    pub(super) fn a_role(&mut self) -> Role {
        if self.dice.bool() { Role::Customer } else { Role::Driver }
    }

    /// A time that a ride may be planned for, now and then one that it may not.
    pub(super) fn a_datetime(&mut self) -> Time {
        let ahead = match self.dice.u32(..12) {
            0..7 => self.dice.i64(0..3600),
            7..9 => self.dice.i64(-3600..0),
            9 => self.dice.i64(-60..60),
            10 => self.dice.i64(3600..86_400),
            _ => [-3700, -3601, -7300, 86_399, 86_401][self.dice.usize(..5)],
        };
        self.now() + Duration::seconds(ahead) + Duration::milliseconds(self.dice.i64(0..1000))
    }
}
