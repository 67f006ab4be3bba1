//! The official Cedar engine, native, on the shape of src/cedar/authorize_bench.cc: N policies that map a group to a
//! role, one of which fits; three entities; one thread. Prints JSON: nanoseconds, medians of seven rounds.
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn role_mapping(policies: usize) -> String {
    (0..policies)
        .map(|n| {
            format!(
                "@id(\"map-{n}\") @duration(\"1h\")\npermit(principal in Group::\"okta/team-{n}\", \
                 action == Action::\"assume\", resource == Role::\"pg/db-{n}/reader\")\n\
                 when {{ context.mfa && principal.department == \"data\" }};\n"
            )
        })
        .collect()
}

fn entities_json(n: usize) -> String {
    format!(
        r#"[{{"uid":{{"type":"User","id":"alice"}},"attrs":{{"department":"data"}},"parents":[{{"type":"Group","id":"okta/team-{n}"}}]}},
            {{"uid":{{"type":"Group","id":"okta/team-{n}"}},"attrs":{{}},"parents":[{{"type":"Group","id":"okta/all"}}]}},
            {{"uid":{{"type":"Role","id":"pg/db-{n}/reader"}},"attrs":{{"env":"prod"}},"parents":[]}}]"#
    )
}

/// Nanoseconds a call: the median of seven rounds, each at least a tenth of a second and one call long.
fn median(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            let mut calls = 0u32;
            while calls == 0 || begin.elapsed() < Duration::from_millis(100) {
                call();
                calls += 1;
            }
            begin.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}

fn uid(text: &str) -> EntityUid {
    text.parse().expect("an entity")
}

fn main() {
    let authorizer = Authorizer::new();
    let mut lines = Vec::new();
    for policies in [1usize, 10, 1000, 100_000] {
        let text = role_mapping(policies);
        let begin = Instant::now();
        let set: PolicySet = text.parse().expect("policies");
        let load = begin.elapsed().as_nanos() as f64;
        let n = policies / 2;
        let (principal, action) = (uid("User::\"alice\""), uid("Action::\"assume\""));
        let resource = uid(&format!("Role::\"pg/db-{n}/reader\""));
        let context_json = r#"{"mfa":true,"reason":"ticket 42"}"#;
        let three = entities_json(n);
        let make = |context: Context| {
            Request::new(principal.clone(), action.clone(), resource.clone(), context, None).expect("a request")
        };
        let context = || Context::from_json_str(context_json, None).expect("a context");
        let entities = Entities::from_json_str(&three, None).expect("entities");
        let request = make(context());
        let must_allow = |entities: &Entities, request: &Request| {
            let answer = authorizer.is_authorized(request, &set, entities);
            assert_eq!(answer.decision(), Decision::Allow);
            black_box(answer);
        };
        let decided = median(|| must_allow(&entities, &request));
        let from_json = median(|| must_allow(&entities, &make(context())));
        let all_from_json = median(|| {
            let entities = Entities::from_json_str(&three, None).expect("entities");
            must_allow(&entities, &make(context()));
        });
        lines.push(format!(
            "\"{policies}\":{{\"load\":{load},\"decided\":{decided},\"from_json\":{from_json},\"all_from_json\":{all_from_json}}}"
        ));
    }
    println!("{{{}}}", lines.join(","));
}
