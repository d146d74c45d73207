//! A gateway for several: keys with shares, and beyond this machine with client keys and an admin token.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::serve::Server;
use crate::world::{World, pro};

const TOKEN: &str = "an-admin-token-for-tests";

fn add(world: &World, arguments: &[&str]) -> String {
    let outcome = world.run(&[&["keys", "add"], arguments].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    outcome.stdout.trim().to_owned()
}

/// The status of a GET with these headers, sent to the loopback port of the server.
fn asks(server: &Server, path: &str, headers: &str) -> u16 {
    let port = server.address().rsplit_once(':').unwrap().1;
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_shares_of_keys_are_told_and_listed() {
    let world = World::with(pro());
    let whole = [
        "intern",
        "--daily-usd",
        "1",
        "--monthly-usd",
        "$20",
        "--daily-requests",
        "500",
        "--requests-per-minute",
        "30",
        "--concurrent",
        "2",
        "--models",
        "zai-org/*,Qwen/*",
        "--models",
        "openai/gpt-oss-120b",
        "--highest-priority",
        "agent",
        "--expires",
        "30d",
    ];
    let made = world.run(&[&["keys", "add"], &whole[..]].concat());
    insta::assert_snapshot!(made.stderr);
    add(&world, &["nightly", "--highest-priority", "batch", "--paygo", "never"]);
    insta::assert_snapshot!(world.run(&["keys", "list"]).seen());
    let report = world.run(&["keys", "list", "--json"]).report("keys");
    let intern = &report["keys"][0];
    assert_eq!((&intern["daily_usd"], &intern["used_today_usd"]), (&1.0.into(), &0.0.into()));
    assert_eq!(intern["models"].as_array().unwrap().len(), 3);
    assert_eq!(intern["highest_priority"], "agent");
    assert_eq!(intern["expires_at"], "2026-10-27T11:13:00Z");
    assert_eq!(report["keys"][1]["concurrent_requests"], serde_json::Value::Null);
}

#[test]
fn a_key_that_has_expired_is_not_in_force() {
    let world = World::with(pro());
    add(&world, &["brief", "--expires", "1h"]);
    let later = world.variable("RIPCORD_TEST_NOW", "2026-09-27T12:14:00Z");
    insta::assert_snapshot!(later.run(&["keys", "list"]).seen());
    assert_eq!(later.run(&["keys", "list", "--json"]).report("keys")["keys"][0]["in_force"], false);
    let late = later.run(&["keys", "add", "late", "--expires", "2026-09-27"]);
    assert_eq!((late.code, late.stdout.as_str()), (2, ""), "{}", late.seen());
    assert!(late.stderr.contains("expired before it is made"), "{}", late.stderr);
    for wrong in [
        &["--daily-usd", "0"][..],
        &["--concurrent", "0"],
        &["--requests-per-minute", "100000"],
        &["--models", "a b"],
        &["--expires", "tomorrow"],
        &["--highest-priority", "urgent"],
    ] {
        let outcome = later.run(&[&["keys", "add", "x"], wrong].concat());
        assert_eq!(outcome.code, 2, "{wrong:?}: {}", outcome.seen());
    }
}

#[test]
fn beyond_this_machine_it_starts_with_keys_and_a_token_only() {
    let world = World::with(pro())
        .config("[gateway]\nlisten = \"0.0.0.0:0\"\n")
        .without("RIPCORD_TEST_NOW");
    let seen = |world: &World| {
        let serve = world.run(&["serve"]);
        let check = world.run(&["config", "check"]);
        assert_eq!((serve.code, check.code), (2, 2), "{}\n{}", serve.seen(), check.seen());
        format!("{}\n{}", serve.stderr, check.seen())
    };
    insta::assert_snapshot!("beyond-nothing", seen(&world));
    let weak = world.variable("RIPCORD_ADMIN_TOKEN", "short");
    insta::assert_snapshot!("beyond-weak-token", seen(&weak));
    let guarded = weak.variable("RIPCORD_ADMIN_TOKEN", TOKEN);
    insta::assert_snapshot!("beyond-no-keys", seen(&guarded));
    let doctor = guarded.run(&["doctor", "--json"]).report("doctor");
    let findings = doctor["findings"].as_array().unwrap();
    let of_gateway = findings.iter().find(|finding| finding["area"] == "gateway").unwrap();
    assert_eq!(
        (&of_gateway["result"], &of_gateway["see"]),
        (&"problem".into(), &"ripcord doctor --explain beyond-this-machine".into())
    );
    let key = add(&guarded, &["laptop", "--expires", "2d"]);
    let doctor = guarded.run(&["doctor", "--json"]).report("doctor");
    let told: Vec<&str> = doctor["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["area"] == "gateway")
        .map(|finding| finding["text"].as_str().unwrap())
        .collect();
    assert!(told[0].contains("1 client key") && told[1].contains("`laptop` expires"), "{told:?}");
    let server = Server::listening(&guarded, "0.0.0.0:0");
    let bearer = |key: &str| format!("authorization: Bearer {key}\r\n");
    let by_address = "host: 192.168.1.5:8790\r\n";
    let with_key = format!("{by_address}{}", bearer(&key));
    assert_eq!(asks(&server, "/v1/models", by_address), 401);
    assert_eq!(asks(&server, "/v1/models", &with_key), 200);
    assert_eq!(
        asks(&server, "/v1/models", &format!("host: evil.example\r\n{}", bearer(&key))),
        403
    );
    // A program of the machine itself needs no token; whoever comes through a proxy does.
    assert_eq!(asks(&server, "/-/status", "host: localhost\r\n"), 200);
    let proxied = format!("{by_address}x-forwarded-for: 203.0.113.9\r\n");
    for path in ["/-/status", "/-/budget", "/-/events", "/metrics"] {
        assert_eq!(asks(&server, path, &proxied), 401, "{path}");
        let with_client_key = format!("{proxied}{}", bearer(&key));
        assert_eq!(asks(&server, path, &with_client_key), 401, "{path}");
    }
    for path in ["/-/status", "/-/budget", "/metrics"] {
        assert_eq!(asks(&server, path, &format!("{proxied}{}", bearer(TOKEN))), 200, "{path}");
    }
    for path in ["/-/health", "/-/ready"] {
        assert_eq!(asks(&server, path, &proxied), 200, "{path}");
    }
    // With the last key gone nobody gets in, as somebody would on this machine alone.
    assert_eq!(guarded.run(&["keys", "revoke", "laptop"]).code, 0);
    assert_eq!(guarded.run(&["keys", "remove", "laptop"]).code, 0);
    let mut looks = 0;
    while asks(&server, "/v1/models", &with_key) != 401 {
        looks += 1;
        guarded.run(&["keys", "list"]);
        assert!(looks < 2_000, "never refused");
    }
    assert_eq!(asks(&server, "/v1/models", by_address), 401);
    server.signal("TERM");
    let (code, talk) = server.ended();
    assert_eq!(code, Some(0));
    assert!(talk.contains("not encrypted") && !talk.contains(TOKEN), "{talk}");
}

#[test]
fn an_admin_token_stands_in_a_variable_or_a_file_of_its_own() {
    let world = World::with(pro());
    let literal = world.config(&format!("[gateway]\nadmin_token = \"{TOKEN}\"\n"));
    let refused = literal.run(&["config", "check"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.seen().contains("env:NAME") && !refused.seen().contains(TOKEN),
        "{}",
        refused.seen()
    );
    let file = literal.home().join("admin.token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let named = literal.config("[gateway]\nadmin_token = \"file:~/admin.token\"\n");
    let open = named.run(&["config", "check"]);
    assert_eq!(open.code, 0, "{}", open.seen());
    assert!(open.seen().contains("chmod 600"), "{}", open.seen());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!named.run(&["config", "check"]).seen().contains("chmod"));
    let shown = named.run(&["config", "show", "--json"]);
    assert!(!shown.stdout.contains(TOKEN) && shown.stdout.contains("file:~/admin.token"));
    // A variable that is set for the gateway alone stops no other command.
    let unset = named.config("[gateway]\nadmin_token = \"env:NOT_SET_HERE\"\n");
    assert_eq!(unset.run(&["keys", "list"]).code, 0);
    let serve = unset.run(&["serve"]);
    assert_eq!(serve.code, 2);
    assert!(serve.stderr.contains("NOT_SET_HERE"), "{}", serve.stderr);
}
