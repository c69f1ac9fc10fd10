//! What PostgreSQL does for a ride and for a text stays the same as pool and history grow, statement by statement: its
//! own log of plans (`auto_explain`) says how many rows each really visited.
//!
//! `EXPLAIN_NUMBERS` and `EXPLAIN_RIDES` set the larger size; the numbers in `docs/pool.md` were made with 100,000
//! numbers and 1,000,000 rides.

use std::{collections::BTreeMap, time::Instant};

use maskline::app::Running;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::{Value, json};

use crate::harness::{Api, Kind, TestApp, postgres};

/// So many numbers that a driver holds before the one that is free.
const HELD: usize = 60;

/// What is in the statements that must be among those compared: choosing a number, the pair's former ride, releasing
/// what expired, binding, and routing.
const HOT: [&str; 5] =
    ["n.ring_position >=", "FROM bindings mine", "DELETE FROM \"bindings\"", "INSERT INTO bindings", "AS from_pool"];

/// What a statement cost at most, over all times that it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    /// Rows that its scans read, those that filters then removed included.
    rows: u64,
    /// Pages of tables and indexes.
    pages: u64,
}

type Costs = BTreeMap<String, Cost>;

/// A pool and a history of this size, and a service on it whose plans are logged.
struct Stage {
    app: TestApp,
    db: DatabaseConnection,
    service: Running,
    api: Api,
    /// The name of the database.
    name: String,
    log: std::path::PathBuf,
}

impl Stage {
    /// With `settings` for its database.
    async fn of((numbers, rides): (usize, usize), settings: &[&str]) -> Option<Self> {
        let app = TestApp::start(Kind::Postgres).await;
        let log = postgres::log()?;
        let db = Database::connect(&app.db.direct).await.expect("a connection");
        db.execute_unprepared("SET statement_timeout = 0").await.expect("no limit");
        for sql in history(numbers, rides) {
            db.execute_unprepared(&sql).await.expect(&sql);
        }
        let name = app.db.url.rsplit('/').next().expect("a name").to_owned();
        let explain = [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_format = json",
        ];
        for setting in explain.iter().chain(settings) {
            db.execute_unprepared(&format!("ALTER DATABASE {name} SET {setting}")).await.expect(setting);
        }
        // Its connections are new, and so they are explained; those of the first replica are not.
        let (service, api) = app.replica().await;
        let stage = Self { app, db, service, api, name, log };
        stage.settle().await;
        Some(stage)
    }

    /// As the database is once autovacuum has been there.
    async fn settle(&self) {
        self.db.execute_unprepared("VACUUM ANALYZE").await.expect("statistics");
    }

    fn ride(&self, customer: &str, driver: &str) -> Value {
        let person = |phone: &str| json!({ "external_id": phone, "name": "Somebody", "phone_number": phone });
        json!({
            "customer": person(customer), "driver": person(driver), "start": "Dam 1", "destination": "Schiphol",
            "datetime": self.app.soon(),
        })
    }

    /// What the statements cost that ran since the log was so long.
    fn costs_since(&self, start: usize) -> Costs {
        let log = std::fs::read(&self.log).expect("the log");
        let log = String::from_utf8_lossy(&log[start..]);
        let mut costs = Costs::new();
        let mut lines = log.lines().peekable();
        while let Some(line) = lines.next() {
            if !(line.starts_with(&format!("{} ", self.name)) && line.contains(" plan:")) {
                continue;
            }
            let mut plan = String::new();
            while let Some(more) = lines.next_if(|more| more.starts_with('\t')) {
                plan.push_str(more);
            }
            let entry: Value = serde_json::from_str(&plan).expect("a plan");
            let text = entry["Query Text"].as_str().expect("a statement");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let cost = costs.entry(text).or_default();
            let rows = rows_of(&entry["Plan"]);
            let pages =
                ["Shared Hit Blocks", "Shared Read Blocks"].map(|kind| entry["Plan"][kind].as_u64().unwrap_or(0));
            cost.rows = cost.rows.max(rows);
            cost.pages = cost.pages.max(pages.iter().sum());
        }
        costs
    }

    fn log_length(&self) -> usize {
        usize::try_from(std::fs::metadata(&self.log).expect("the log").len()).expect("a length")
    }

    async fn finish(self) {
        self.app.send_due().await;
        self.db.close().await.expect("it closes");
        self.service.stop().await;
        self.app.finish().await;
    }
}

/// Rows that the scans of a plan read.
fn rows_of(node: &Value) -> u64 {
    let count = |name: &str| node[name].as_u64().unwrap_or(0);
    let scans = ["Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"];
    let own = if scans.contains(&node["Node Type"].as_str().unwrap_or_default()) {
        let each = count("Actual Rows") + count("Rows Removed by Filter") + count("Rows Removed by Index Recheck");
        each * count("Actual Loops")
    } else {
        0
    };
    own + node["Plans"].as_array().into_iter().flatten().map(rows_of).sum::<u64>()
}

/// Statements that make so many Dutch numbers, and so many rides that are over: the later half still cools down, the
/// bindings of the earlier half are gone. Drivers have about fifty rides each, customers ten. Beside them 61 Belgian
/// numbers, of which a driver holds the first 60, and 20 more bindings of that driver's whose time is up.
fn history(numbers: usize, rides: usize) -> Vec<String> {
    let (drivers, customers) = (rides / 50 + 1, rides / 10 + 1);
    let all = numbers + HELD + 1;
    vec![
        format!(
            "INSERT INTO numbers (id, phone_number, match_key, provider, sms, voice, mms, country, status, ring_position, version,
                created_at, updated_at)
            SELECT i, '+319701' || lpad(i::text, 7, '0'), '319701' || lpad(i::text, 7, '0'), 'simulator', true, true, false,
                CASE WHEN i <= {numbers} THEN 'NL' ELSE 'BE' END, 'active', reverse(i::bit(32)::text)::bit(32)::bigint, 1,
                now(), now()
            FROM generate_series(1, {all}) i"
        ),
        format!(
            "INSERT INTO people (id, role, name, name_key, phone_index, phone_sealed, version, created_at, updated_at)
            SELECT i, CASE WHEN i <= {drivers} THEN 'driver' ELSE 'customer' END, 'P', 'p', sha256(i::text::bytea),
                sha256(i::text::bytea), 1, now(), now()
            FROM generate_series(1, {drivers} + {customers}) i"
        ),
        format!(
            "INSERT INTO rides (id, customer_id, driver_id, number_id, start, destination, datetime, utc_offset_s, status,
                ended_by, ended_at, timeout_at, contact_until, customer_seq, driver_seq, version, created_at, updated_at)
            SELECT i, {drivers} + 1 + i % {customers}, 1 + i % {drivers}, 1 + i % {numbers}, 'A', 'B', at, 0, 'completed',
                'platform', at, at, at, 2, 2, 2, at, at
            FROM (SELECT i, now() - interval '14 days' * (1 - i::float / {rides}) AS at
                FROM generate_series(1, {rides}) i) past"
        ),
        format!(
            "INSERT INTO bindings (number_id, phone_index, ride_id, role, contact_until, barred_until)
            SELECT r.number_id, p.phone_index, r.id, p.role, r.contact_until, r.contact_until + interval '8 days'
            FROM rides r JOIN people p ON p.id IN (r.customer_id, r.driver_id) WHERE r.id > {rides} / 2"
        ),
        "SELECT setval(pg_get_serial_sequence('numbers', 'id'), (SELECT MAX(id) FROM numbers)),
            setval(pg_get_serial_sequence('people', 'id'), (SELECT MAX(id) FROM people)),
            setval(pg_get_serial_sequence('rides', 'id'), (SELECT MAX(id) FROM rides))"
            .to_owned(),
    ]
}

/// Gives the driver with this id the Belgian numbers but the last, in cool-down, and 20 Dutch ones whose time is up.
fn hold(driver: i64, numbers: usize) -> String {
    format!(
        "INSERT INTO bindings (number_id, phone_index, ride_id, role, contact_until, barred_until)
        SELECT CASE WHEN i <= {HELD} THEN {numbers} + i ELSE i END, (SELECT phone_index FROM people WHERE id = {driver}),
            i, 'driver', now() - interval '1 day', now() + CASE WHEN i <= {HELD} THEN 1 ELSE -1 END * interval '12 hours'
        FROM generate_series(1, {HELD} + 20) i"
    )
}

/// The rows that everything which a ride and a text need visits, by what happens.
async fn measure(stage: &Stage, numbers: usize) -> Vec<(&'static str, Costs)> {
    let api = &stage.api;
    let mut measured = Vec::new();
    // More than five times each: from then on PostgreSQL may reuse a plan that does not know the values.
    let start = stage.log_length();
    let mut rides = Vec::new();
    for at in 0..12 {
        let ride = stage.ride(&format!("+316111000{at:02}"), &format!("+316222000{at:02}"));
        rides.push(api.post("/v1/rides", &ride).await.expect(201));
    }
    measured.push(("a ride of two who never met", stage.costs_since(start)));

    let (start, owed) = (stage.log_length(), stage.app.pending_parts().await);
    for (at, ride) in rides.iter().enumerate() {
        let number = ride["proxy_number"].as_str().expect("a number");
        api.simulate_text(&format!("+316111000{at:02}"), number, "Hello").await;
    }
    measured.push(("a text", stage.costs_since(start)));
    assert_eq!(stage.app.pending_parts().await, owed + 12, "every text is passed on");

    let start = stage.log_length();
    for (at, ride) in rides.iter().enumerate() {
        let cancelled = json!({ "status": "cancelled" });
        api.patch(&format!("/v1/rides/{}", ride["id"]), &cancelled).await.expect(200);
        let again = stage.ride(&format!("+316111000{at:02}"), &format!("+316222000{at:02}"));
        assert_eq!(api.post("/v1/rides", &again).await.expect(201)["number_id"], ride["number_id"]);
    }
    measured.push(("a ride of the same pair again", stage.costs_since(start)));

    // The number that stays free for the busy driver below: had one of these rides got it by chance, what is read of it
    // would differ.
    let last = numbers + HELD + 1;
    let set_last = async |status| {
        let sql = format!("UPDATE numbers SET status = '{status}' WHERE id = {last}");
        stage.db.execute_unprepared(&sql).await.expect("a number");
    };
    set_last("suspended").await;
    let start = stage.log_length();
    for at in 0..12 {
        let ride = stage.ride(&format!("+120255501{at:02}"), &format!("+120255502{at:02}"));
        api.post("/v1/rides", &ride).await.expect(201);
    }
    measured.push(("a ride of two of a country without numbers", stage.costs_since(start)));
    set_last("active").await;

    let busy = stage.app.driver("Busy", "+32470123456").await;
    stage.db.execute_unprepared(&hold(busy, numbers)).await.expect("bindings");
    stage.settle().await;
    let start = stage.log_length();
    for at in 0..12 {
        let mut ride = stage.ride(&format!("+324701100{at:02}"), "+32470123456");
        ride.as_object_mut().expect("an object").remove("driver");
        ride["driver_id"] = busy.into();
        let chosen = api.post("/v1/rides?dry_run=true", &ride).await.expect(200);
        assert_eq!(chosen["number_id"].as_i64(), i64::try_from(last).ok(), "{chosen}");
    }
    let mut costs = stage.costs_since(start);
    costs.retain(|text, _| !text.contains("AS class"));
    measured.push(("a ride of a driver who holds all numbers of the country but one", costs));
    measured
}

/// What an empty pool of so many numbers costs to be called empty, and why.
async fn refusals(stage: &Stage) {
    let gone = [
        ("suspended", "status = 'suspended'", "none_active"),
        ("of a provider that is not configured", "status = 'active', provider = 'telnyx'", "none_active"),
        ("without voice", "provider = 'simulator', voice = false", "none_capable"),
        ("deleted", "deleted_at = now()", "no_numbers"),
    ];
    for (at, (name, change, limit)) in gone.iter().enumerate() {
        stage.db.execute_unprepared(&format!("UPDATE numbers SET {change}")).await.expect(change);
        stage.settle().await;
        let start = stage.log_length();
        let ride = stage.ride(&format!("+316333000{at:02}"), &format!("+316444000{at:02}"));
        let refused = stage.api.post("/v1/rides", &ride).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], *limit, "{name}");
        let costs = stage.costs_since(start);
        assert!(costs.keys().any(|text| text.contains("AS one")), "{costs:?}");
        for (text, cost) in costs {
            assert!(cost.rows <= 2, "all numbers are {name}: {cost:?} for {text}");
        }
    }
}

fn size(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a whole number"))
}

/// The statement's name in the table.
fn short(text: &str) -> String {
    text.chars().take(110).collect::<String>().replace('|', "\\|")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_ride_and_a_text_visit_does_not_grow() {
    let (few, many) = ((100, 1_000), (size("EXPLAIN_NUMBERS", 20_000), size("EXPLAIN_RIDES", 50_000)));
    // PostgreSQL reads a table of two pages whole rather than by an index. Told not to, it does on the small database
    // what it does on the large one, where it is free to plan.
    let probes = ["seqscan", "bitmapscan", "hashjoin", "mergejoin"].map(|other| format!("enable_{other} = off"));
    let small = Stage::of(few, &probes.each_ref().map(String::as_str)).await;
    let (Some(small), Some(large)) = (small, Stage::of(many, &[]).await) else {
        eprintln!("skipped: the plans are in the log of a server that is not ours");
        return;
    };
    let (before, after) = (measure(&small, few.0).await, measure(&large, many.0).await);
    println!("| statement | rows | pages | rows | pages |\n|---|---|---|---|---|");
    let mut seen = Vec::new();
    let mut grown = Vec::new();
    for ((what, before), (_, after)) in before.iter().zip(&after) {
        println!("| **{what}** | | | | |");
        for (text, cost) in before {
            // The outbox has what is owed, here as there: it is as small as the small tables.
            let Some(grew) = after.get(text).filter(|_| !text.contains("\"outbox\"")) else { continue };
            seen.push(text.as_str());
            println!("| `{}` | {} | {} | {} | {} |", short(text), cost.rows, cost.pages, grew.rows, grew.pages);
            // Where chance puts the point among the numbers that the driver holds, so many are passed over, each with
            // its binding.
            let passed_over = text.contains("n.ring_position") && what.contains("holds");
            let same = if passed_over { grew.rows <= 2 * HELD as u64 + 1 } else { grew.rows == cost.rows };
            // Each index is a level or two deeper. What is written may also split a page, or extend the table.
            let deeper = text.starts_with("SELECT") && !passed_over && grew.pages > cost.pages * 2 + 12;
            if !same || deeper {
                grown.push(format!("{what}: {cost:?} became {grew:?} for {text}"));
            }
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
    for hot in HOT {
        assert!(seen.iter().any(|text| text.contains(hot)), "{hot} was compared");
    }
    let asked = Instant::now();
    large.api.get("/v1/pool").await.expect(200);
    println!("GET /v1/pool took {} ms", asked.elapsed().as_millis());
    refusals(&large).await;
    small.finish().await;
    large.finish().await;
}
