//! The official Cedar engine (crate cedar-policy) on the shape of src/cedar/authorize_bench.cc: N policies that map a group
//! to a role, three entities, policies, entities and request parsed before, one thread. One line per N:
//! `policies nanoseconds-per-decision nanoseconds-to-load`.
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use std::fmt::Write;
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

fn role_mapping(policies: usize) -> String {
    let mut text = String::new();
    for n in 0..policies {
        writeln!(
            text,
            "@id(\"map-{n}\") @duration(\"1h\")\npermit(principal in Group::\"okta/team-{n}\", action == Action::\"assume\", \
             resource == Role::\"pg/db-{n}/reader\")\nwhen {{ context.mfa && principal.department == \"data\" }};"
        )
        .expect("writing to a string");
    }
    text
}

fn facts(n: usize) -> Entities {
    let json = format!(
        r#"[{{"uid": {{"type": "User", "id": "alice"}}, "attrs": {{"department": "data"}},
              "parents": [{{"type": "Group", "id": "okta/team-{n}"}}]}},
            {{"uid": {{"type": "Group", "id": "okta/team-{n}"}}, "attrs": {{}},
              "parents": [{{"type": "Group", "id": "okta/all"}}]}},
            {{"uid": {{"type": "Role", "id": "pg/db-{n}/reader"}}, "attrs": {{"env": "prod"}}, "parents": []}}]"#
    );
    Entities::from_json_str(&json, None).expect("entities")
}

fn uid(text: &str) -> EntityUid {
    EntityUid::from_str(text).expect("an entity's name")
}

fn asked(n: usize) -> Request {
    let context = Context::from_json_str(r#"{"mfa": true, "reason": "ticket 42"}"#, None).expect("context");
    let role = uid(&format!("Role::\"pg/db-{n}/reader\""));
    Request::new(uid("User::\"alice\""), uid("Action::\"assume\""), role, context, None).expect("request")
}

/// Nanoseconds of one decision: the median of seven rounds, each at least a tenth of a second and one decision long.
fn decision(policies: &PolicySet, entities: &Entities, request: &Request) -> f64 {
    let authorizer = Authorizer::new();
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            let mut calls = 0_u32;
            while calls == 0 || begin.elapsed() < Duration::from_millis(100) {
                let response = authorizer.is_authorized(request, policies, entities);
                assert_eq!(black_box(response).decision(), Decision::Allow);
                calls += 1;
            }
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}

fn main() {
    for n in [1, 10, 1_000, 100_000] {
        let text = role_mapping(n);
        let begin = Instant::now();
        let policies = PolicySet::from_str(&text).expect("policies");
        let load = begin.elapsed().as_secs_f64() * 1e9;
        println!("{n} {:.0} {load:.0}", decision(&policies, &facts(n / 2), &asked(n / 2)));
    }
}
