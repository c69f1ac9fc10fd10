//! A flood of wrong secrets against the real binary: what it costs in memory, and whether the right client still gets
//! in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::{
    harness::{CLIENT, Kind, TestDatabase, on_both_databases},
    process::Service,
};

const MIB: u64 = 1024;
/// What the process may take beyond what it took before, in KiB.
const GROWTH: u64 = 48 * MIB;
/// Connections of the flood.
const CONNECTIONS: usize = 100;
/// The flood lasts until the right client has asked this often.
const ASKED: usize = 40;

/// Resident memory of a process, in KiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Asks for a token; `from` is what a proxy in front would say of the caller's address.
async fn ask(http: &reqwest::Client, base: &str, (id, secret): (&str, &str), from: Option<&str>) -> u16 {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http.post(format!("{base}/oauth/token")).body(body);
    let mut request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some(from) = from {
        request = request.header("x-forwarded-for", from);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    answer.bytes().await.expect("a body");
    status
}

on_both_databases! {
    async fn wrong_secrets_neither_fill_the_memory_nor_shut_the_right_client_out(kind: Kind) {
        let db = TestDatabase::fresh(kind).await;
        let service = Service::start(&db, &[("TRUSTED_PROXIES", "127.0.0.0/8"), ("RUST_LOG", "warn")]).await;
        let http = reqwest::Client::new();
        let before = memory(service.id());

        let right = join_all((0..20).map(|_| ask(&http, &service.base, CLIENT, None))).await;
        assert_eq!(right, [200; 20]);
        let after_twenty = memory(service.id());

        let (over, wrong, too_many) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let mut flood = tokio::task::JoinSet::new();
        // One client, because each loads certificates, with a connection for each of those who use it at once.
        let attacker = reqwest::Client::builder().pool_max_idle_per_host(CONNECTIONS).build().expect("a client");
        for connection in 0..CONNECTIONS {
            let (http, base, over) = (attacker.clone(), service.base.clone(), Arc::clone(&over));
            let (wrong, too_many) = (Arc::clone(&wrong), Arc::clone(&too_many));
            flood.spawn(async move {
                for attempt in 0.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    // The client's own id from one address, and ids and addresses that are always new.
                    let made_up = format!("client_{connection}_{attempt}");
                    let id = if connection % 2 == 0 { CLIENT.0 } else { &made_up };
                    let from = format!("2001:db8:{connection:x}:{attempt:x}::1");
                    let from = (connection % 4 > 1).then_some(from.as_str());
                    match ask(&http, &base, (id, "a wrong secret"), from).await {
                        401 => wrong.fetch_add(1, Relaxed),
                        429 => too_many.fetch_add(1, Relaxed),
                        other => panic!("a wrong secret is answered {other}"),
                    };
                }
            });
        }
        let (began, mut peak, mut asked, mut slowest) = (Instant::now(), 0, 0, Duration::ZERO);
        let mut refused = Vec::new();
        while asked < ASKED && began.elapsed() < Duration::from_secs(60) {
            let sent = Instant::now();
            match ask(&http, &service.base, CLIENT, Some("2001:db8::1")).await {
                200 => {}
                other => refused.push(other),
            }
            (asked, slowest) = (asked + 1, slowest.max(sent.elapsed()));
            peak = peak.max(memory(service.id()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        over.store(true, Relaxed);
        while let Some(done) = flood.join_next().await {
            done.expect("a connection of the flood ends well");
        }
        let after = memory(service.id());
        let mib = |kib: u64| kib / MIB;
        println!(
            "{kind:?}: memory {} MiB before, {} after 20 tokens, {} at most during the flood, {} after; \
             wrong secrets answered 401: {}, 429: {}; the right one: {} of {asked} got a token, the slowest in {slowest:?}",
            mib(before), mib(after_twenty), mib(peak), mib(after), wrong.load(Relaxed), too_many.load(Relaxed),
            asked - refused.len(),
        );
        assert!(refused.is_empty(), "the right client was refused: {refused:?}");
        assert_eq!(asked, ASKED, "the right client was hardly answered");
        assert!(too_many.load(Relaxed) > wrong.load(Relaxed) / 2, "most of the flood is over the limit");
        for (when, now) in [("after 20 tokens", after_twenty), ("during the flood", peak), ("after the flood", after)] {
            assert!(now < before + GROWTH, "{when} the process takes {} MiB more", mib(now - before));
        }
        service.terminate();
    }
}
