//! What fails around the service, and how it gets over it: replicas that share or lose their work, clocks apart, a
//! database that is away, full or taken over, and being asked to stop.

mod disk;
mod failover;
mod health;
mod jobs;
mod outage;
mod pooler;
mod takeover;
