//! Who may call: tokens, clients, and the scope of every operation.

mod clients;
mod keys;
mod shown;
mod walk;
mod wrong_secrets;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::harness::{Answer, CLIENT, JWT_SECRET, Kind, PUBLIC, TestApp, on_both_databases};

const TOKEN: &str = "/oauth/token";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A token request with the usual client in the form.
async fn request(app: &TestApp, fields: &[(&str, &str)]) -> Answer {
    let signed_in = [("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
    app.with_token("").form(TOKEN, &[&signed_in, fields].concat(), &[]).await
}

async fn request_with(app: &TestApp, authorization: &str) -> Answer {
    app.with_token("").form(TOKEN, &[GRANT], &[("authorization", authorization)]).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(error)), "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
}

/// What the service writes into a token of the usual client.
fn claims(app: &TestApp) -> Value {
    let now = app.now().timestamp();
    json!({
        "iss": PUBLIC, "sub": CLIENT.0, "aud": PUBLIC, "iat": now, "exp": now + 3600, "jti": "jti",
        "scope": "customers:read", "cid": 1, "sv": 1,
    })
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// A token with exactly these words, signed as ours are.
fn spelled(header: &str, claims: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{signed}.{signature}")
}

fn unsigned(header: &Value, claims: &Value) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.", encode(header), encode(claims))
}

async fn with_header(app: &TestApp, authorization: &str) -> Answer {
    app.raw("GET", "/v1/customers", &[("authorization", authorization)], Vec::new()).await
}

on_both_databases! {
    async fn a_client_signs_in_by_form_or_by_basic(kind: Kind) {
        let app = TestApp::start(kind).await;
        let by_form = request(&app, &[GRANT]).await;
        let as_it_is = request_with(&app, &basic(CLIENT.0, CLIENT.1)).await;
        let form_encoded = request_with(&app, &basic(CLIENT.0, "a+secret%20of+the+tests,+with%2032+characters")).await;
        let in_small_letters = request_with(&app, &basic(CLIENT.0, CLIENT.1).replace("Basic", "basic")).await;
        for answer in [by_form, as_it_is, form_encoded, in_small_letters] {
            assert_eq!(answer.header("cache-control"), "no-store");
            let token = answer.expect(200);
            assert_eq!((token["token_type"].as_str(), token["expires_in"].as_i64()), (Some("Bearer"), Some(3600)));
            let api = app.with_token(token["access_token"].as_str().unwrap());
            api.get("/v1/customers").await.expect(200);
        }
        app.finish().await;
    }

    async fn wrong_credentials_get_no_token(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (id, secret) in [(CLIENT.0, "wrong"), ("nobody", CLIENT.1), ("Tests", CLIENT.1), (CLIENT.0, "")] {
            let form = [GRANT, ("client_id", id), ("client_secret", secret)];
            refused(&app.with_token("").form(TOKEN, &form, &[]).await, 401, "invalid_client");
            refused(&request_with(&app, &basic(id, secret)).await, 401, "invalid_client");
        }
        for header in ["Basic", "Basic !", "Basic dGVzdHM=", "Basic /w==", "Bearer x", "x"] {
            refused(&request_with(&app, header).await, 401, "invalid_client");
        }
        refused(&app.with_token("").form(TOKEN, &[GRANT], &[]).await, 401, "invalid_client");
        app.finish().await;
    }

    async fn a_client_id_that_no_database_can_hold_is_unknown(kind: Kind) {
        let app = TestApp::start(kind).await;
        for id in ["\0", "tests\0", "\u{fffd}"] {
            let form = [GRANT, ("client_id", id), ("client_secret", CLIENT.1)];
            refused(&app.with_token("").form(TOKEN, &form, &[]).await, 401, "invalid_client");
            refused(&request_with(&app, &basic(id, CLIENT.1)).await, 401, "invalid_client");
        }
        refused(&request_with(&app, &basic("%00", "%00")).await, 401, "invalid_client");
        app.finish().await;
    }

    async fn a_token_request_says_everything_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        refused(&request(&app, &[]).await, 400, "invalid_request");
        refused(&request(&app, &[("grant_type", "")]).await, 400, "invalid_request");
        refused(&request(&app, &[GRANT, GRANT]).await, 400, "invalid_request");
        refused(&request(&app, &[GRANT, ("client_id", CLIENT.0)]).await, 400, "invalid_request");
        let form = [GRANT, ("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
        let twice = app.with_token("").form(TOKEN, &form, &[("authorization", &basic(CLIENT.0, CLIENT.1))]).await;
        refused(&twice, 400, "invalid_request");
        app.finish().await;
    }

    async fn there_is_no_other_grant(kind: Kind) {
        let app = TestApp::start(kind).await;
        for grant in ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "canary"] {
            refused(&request(&app, &[("grant_type", grant)]).await, 400, "unsupported_grant_type");
        }
        app.finish().await;
    }

    async fn a_token_request_is_a_form(kind: Kind) {
        let app = TestApp::start(kind).await;
        let anonymous = app.with_token("");
        let body = json!({ "grant_type": "client_credentials", "client_id": CLIENT.0, "client_secret": CLIENT.1 });
        anonymous.post(TOKEN, &body).await.expect_problem(415, "unsupported_media_type");
        anonymous.raw("POST", TOKEN, &[], Vec::new()).await.expect_problem(415, "unsupported_media_type");
        app.finish().await;
    }

    async fn a_token_has_the_scopes_that_were_asked_for(kind: Kind) {
        let app = TestApp::start(kind).await;
        let narrow = request(&app, &[GRANT, ("scope", "rides:read customers:read rides:read")]).await.expect(200);
        assert_eq!(narrow["scope"], "customers:read rides:read");
        let api = app.with_token(narrow["access_token"].as_str().unwrap());
        api.get("/v1/customers").await.expect(200);
        api.get("/v1/rides").await.expect(200);
        let missing = api.get("/v1/drivers").await.expect_problem(403, "missing_scope");
        assert!(missing["detail"].as_str().unwrap().contains("drivers:read"));
        for all in [request(&app, &[GRANT]).await, request(&app, &[GRANT, ("scope", "")]).await] {
            assert_eq!(all.expect(200)["scope"].as_str().unwrap().split(' ').count(), 16);
        }
        for unknown in ["rides:read rides:fly", "RIDES:READ", "*", "rides:read,rides:write"] {
            refused(&request(&app, &[GRANT, ("scope", unknown)]).await, 400, "invalid_scope");
        }
        app.finish().await;
    }

    async fn a_token_lives_an_hour(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.clock.advance(Duration::minutes(59));
        app.get("/v1/customers").await.expect(200);
        app.clock.advance(Duration::minutes(2));
        app.get("/v1/customers").await.expect_problem(401, "unauthorized");
        app.finish().await;
    }

    async fn only_a_token_of_ours_opens_the_door(kind: Kind) {
        let app = TestApp::start(kind).await;
        let good = claims(&app);
        let but = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            signed(Algorithm::HS256, JWT_SECRET, &claims)
        };
        let without = |name: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(name);
            signed(Algorithm::HS256, JWT_SECRET, &claims)
        };
        let now = app.now().timestamp();
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        let words = good.to_string();
        let whole = signed(Algorithm::HS256, JWT_SECRET, &good);
        let with_kid = spelled(r#"{"alg":"HS256","kid":"1"}"#, &words);
        let of_now = but("nbf", json!(now));
        for token in [&whole, &spelled(header, &words), &with_kid, &of_now] {
            app.with_token(token).get("/v1/customers").await.expect(200);
        }
        let more = |claim: &str| spelled(header, &format!("{},{claim}}}", &words[..words.len() - 1]));

        let (head, tail) = whole.rsplit_once('.').unwrap();
        let flipped = format!("{head}.{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
        let none = json!({ "alg": "none", "typ": "JWT" });
        let mut tokens = vec![
            ("another key", signed(Algorithm::HS256, "another JWT secret, 32 bytes or more", &good)),
            ("another algorithm", signed(Algorithm::HS384, JWT_SECRET, &good)),
            ("a longer algorithm", signed(Algorithm::HS512, JWT_SECRET, &good)),
            ("alg none", unsigned(&none, &good)),
            ("alg None", unsigned(&json!({ "alg": "None" }), &good)),
            ("alg none with a signature", format!("{}{tail}", unsigned(&none, &good))),
            ("no signature", format!("{head}.")),
            ("a flipped signature", flipped),
            ("another issuer", but("iss", json!("https://elsewhere.test"))),
            ("another audience", but("aud", json!("https://elsewhere.test"))),
            ("a slash more", but("aud", json!(format!("{PUBLIC}/")))),
            ("expired", but("exp", json!(now))),
            ("a text as time", but("exp", json!((now + 3600).to_string()))),
            ("of the future", but("iat", json!(now + 3600))),
            ("expired long ago", but("exp", json!(-1))),
            ("a time with a fraction", but("exp", json!(now as f64 + 3600.5))),
            ("a time without end", but("exp", json!(1e300))),
            ("no time", but("exp", json!(null))),
            ("not before", but("nbf", json!(now + 1))),
            ("not before, in an hour", but("nbf", json!(now + 3600))),
            ("not before, as a text", but("nbf", json!(now.to_string()))),
            ("not before nothing", but("nbf", json!(null))),
            ("crit", spelled(r#"{"alg":"HS256","typ":"JWT","crit":["exp"]}"#, &words)),
            ("crit of nothing", spelled(r#"{"alg":"HS256","typ":"JWT","crit":[]}"#, &words)),
            ("crit null", spelled(r#"{"alg":"HS256","typ":"JWT","crit":null}"#, &words)),
            ("crit of b64", spelled(r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#, &words)),
            ("crit twice", spelled(r#"{"alg":"HS256","crit":["exp"],"crit":null}"#, &words)),
            ("two algorithms", spelled(r#"{"alg":"HS256","alg":"none"}"#, &words)),
            ("an algorithm in small letters", spelled(r#"{"alg":"hs256"}"#, &words)),
            ("no algorithm", spelled(r#"{"typ":"JWT"}"#, &words)),
            ("a list as header", spelled(r#"["JWT","HS256"]"#, &words)),
            ("a claim twice", more(r#""scope":"rides:read""#)),
            ("an expiry twice", more(r#""exp":9999999999"#)),
            ("not before twice", more(r#""nbf":1,"nbf":2"#)),
            ("a list of audiences", but("aud", json!([PUBLIC]))),
            ("a list of issuers", but("iss", json!([PUBLIC]))),
            ("something behind the claims", spelled(header, &format!("{words} {{}}"))),
            ("something behind the header", spelled(&format!("{header}x"), &words)),
            ("a fourth part", format!("{whole}.x")),
            ("a dot behind", format!("{whole}.")),
            ("padding", format!("{whole}=")),
            ("half of it", whole[..whole.len() / 2].to_owned()),
            ("of more than any token needs", but("pad", json!("x".repeat(9000)))),
            ("another version of the secret", but("sv", json!(2))),
            ("a version of the secret before the first", but("sv", json!(0))),
            ("a version beyond all", but("sv", json!(i64::MAX))),
            ("an unknown scope", but("scope", json!("customers:fly"))),
            ("another client's name", but("sub", json!("nobody"))),
            ("another client's row", but("cid", json!(999_999))),
            ("garbage", "garbage".to_owned()),
            ("three pieces of garbage", "a.b.c".to_owned()),
            ("long garbage", "x".repeat(6000)),
        ];
        tokens.extend(["iss", "sub", "aud", "exp", "iat", "jti", "scope", "cid", "sv"].map(|name| (name, without(name))));
        for (what, token) in tokens {
            let answer = app.with_token(&token).get("/v1/customers").await;
            assert_eq!(answer.status, 401, "{what}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
            answer.expect_problem(401, "unauthorized");
        }
        app.finish().await;
    }

    async fn a_token_comes_as_bearer(kind: Kind) {
        let app = TestApp::start(kind).await;
        with_header(&app, &format!("bearer {}", app.token)).await.expect(200);
        let basic = basic(CLIENT.0, CLIENT.1);
        let token = format!("Token {}", app.token);
        for header in ["", "Bearer", "Bearer ", "Bearer é", "Basic", basic.as_str(), token.as_str(), app.token.as_str()]
        {
            with_header(&app, header).await.expect_problem(401, "unauthorized");
        }
        app.with_token("").get("/v1/customers").await.expect_problem(401, "unauthorized");
        let bearer = format!("Bearer {}", app.token);
        let twice = [("authorization", bearer.as_str()), ("authorization", "Bearer another")];
        app.raw("GET", "/v1/customers", &twice, Vec::new()).await.expect_problem(401, "unauthorized");
        let in_query = app.with_token("").get(&format!("/v1/customers?access_token={}", app.token)).await;
        assert!(matches!(in_query.status, 400 | 401), "{}", in_query.text);
        app.finish().await;
    }
}
