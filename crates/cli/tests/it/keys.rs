//! Client keys: made and shown once, listed, revoked and removed, also under a running gateway; and how the commands
//! speak of what may be spent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use chutes_emulator::{AccountSpec, PlanSpec, UsageRowSpec};

use crate::serve::Server;
use crate::world::{World, pro};

fn made(world: &World, arguments: &[&str]) -> String {
    let outcome = world.run(&[&["keys", "add"], arguments].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    outcome.stdout.trim().to_owned()
}

/// The status of a list of models asked with this key.
fn asks(server: &Server, key: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_key_is_shown_once_and_its_rules_are_listed() {
    let world = World::with(pro());
    insta::assert_snapshot!(world.run(&["keys", "list"]).seen(), @r#"
    exit 0
    --- stdout
    There are no client keys: every program of this machine may call the gateway.
    ripcord keys add NAME makes one
    "#);
    let key = made(&world, &["laptop"]);
    assert_eq!((key.len(), &key[..4]), (68, "rip_"), "{key}");
    let other = world.run(&["keys", "add", "ci-bot", "--paygo", "never", "--reserve", "no"]);
    assert_ne!(other.stdout.trim(), key);
    insta::assert_snapshot!(other.stderr, @r#"
    client key `ci-bot`: the balance never pays for it; leaves the reserve alone. It is shown this once; set it as the API key of the client.
    A key can only narrow what the account's own rules allow.
    "#);
    made(
        &world,
        &["assistant", "--paygo", "daily:0.5", "--min-balance", "2", "--when-unknown", "refuse"],
    );
    insta::assert_snapshot!(world.run(&["keys", "list"]).seen(), @r#"
    exit 0
    --- stdout
    assistant · made 11:13 UTC
      the balance pays up to $0.50 a day, $0.00 today; down to $2.00, no account
        that cannot be read
    ci-bot · made 11:13 UTC
      the balance never pays for it; leaves the reserve alone
    laptop · made 11:13 UTC
      the balance pays as the account allows
    "#);
    let report = world.run(&["keys", "list", "--json"]).report("keys");
    assert_eq!(report["required"], true);
    assert_eq!(report["keys"][0]["paygo_daily_usd"], 0.5);
    assert!(!report.to_string().contains("rip_"), "never a key");
    // Nor in the file.
    let ledger = std::fs::read(world.home().join(".local/state/ripcord/ledger.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&ledger).contains(&key));
}

#[test]
fn keys_as_json() {
    let world = World::with(pro());
    assert_eq!(world.run(&["keys", "list", "--json"]).report("keys")["required"], false);
    let added = world.run(&["keys", "add", "a", "--json"]);
    assert_eq!(added.stderr, "");
    let added = added.report("key-added");
    assert_eq!((&added["key"]["name"], added["secret"].as_str().unwrap().len()), (&"a".into(), 68));
    let revoked = world.run(&["keys", "revoke", "a", "--json"]).report("key-changed");
    assert_eq!((&revoked["done"], &revoked["required"]), (&"revoked".into(), &true.into()));
    let removed = world.run(&["keys", "remove", "a", "--json"]).report("key-changed");
    assert_eq!((&removed["done"], &removed["required"]), (&"removed".into(), &false.into()));
}

#[test]
fn what_is_wrong_is_told() {
    let world = World::with(pro());
    made(&world, &["laptop"]);
    let mut seen = String::new();
    for arguments in [
        &["keys", "add", "laptop"][..],
        &["keys", "revoke", "laptp"],
        &["keys", "remove", "laptop"],
        &["keys", "add", "a b"],
        &["keys", "add", "cpk_0123"],
        &["keys", "add", "x", "--paygo", "daily:0"],
        &["keys", "add", "x", "--paygo", "sometimes"],
        &["keys", "add", "x", "--min-balance", "-1"],
        &["keys"],
    ] {
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}: {}", outcome.seen());
        seen.push_str(outcome.stderr.lines().take(3).collect::<Vec<_>>().join("\n").as_str());
        seen.push_str("\n\n");
    }
    insta::assert_snapshot!(seen, @r#"
    error: there is a client key `laptop` already
    hint: take another name, or: ripcord keys revoke laptop, then: ripcord keys remove laptop

    error: there is no client key `laptp`
    hint: did you mean `laptop`?

    error: the client key `laptop` is not revoked
    hint: first: ripcord keys revoke laptop

    error: invalid value 'a b' for '<NAME>': write 1 to 64 letters, digits, `-`, `_`, `.` or `@`

    For more information, try '--help'.

    error: invalid value 'cpk_0123' for '<NAME>': this is the place of a name, not of a key

    For more information, try '--help'.

    error: invalid value 'daily:0' for '--paygo <RULE>': a daily amount must be above 0; for nothing at all write "never"

    For more information, try '--help'.

    error: invalid value 'sometimes' for '--paygo <RULE>': write `never`, `allow` or `daily:X` with X in US dollars

    For more information, try '--help'.

    error: invalid value '-1' for '--min-balance <USD>': expected an amount of US dollars such as 0.05

    For more information, try '--help'.

    The gateway's client keys: who may call it, and what each may spend

    Usage: ripcord keys [OPTIONS] <COMMAND>
    "#);
    assert_eq!(world.run(&["keys", "revoke", "laptop"]).code, 0);
    insta::assert_snapshot!(world.run(&["keys", "revoke", "laptop"]).seen(), @r#"
    exit 2
    --- stderr
    error: the client key `laptop` is revoked already
    hint: `ripcord keys remove` forgets it
    "#);
    insta::assert_snapshot!(world.run(&["keys", "remove", "laptop"]).seen(), @r#"
    exit 0
    --- stdout
    client key `laptop` is removed
      ! No key is left: every program of this machine may call the gateway again.
    "#);
}

#[test]
fn a_running_gateway_hears_of_keys() {
    let world = World::with(pro());
    let server = Server::start(&world);
    assert_eq!(asks(&server, "anything"), 200);
    let key = made(&world, &["laptop"]);
    let becomes = |key: &str, status: u16| {
        let mut looks = 0;
        while asks(&server, key) != status {
            looks += 1;
            // Each takes some milliseconds; the gateway looks once a second.
            let listed = world.run(&["keys", "list"]);
            assert!(looks < 2_000, "never {status}: {}", listed.seen());
        }
    };
    becomes("anything", 401);
    assert_eq!(asks(&server, &key), 200);
    insta::assert_snapshot!(world.run(&["keys", "revoke", "laptop"]).seen(), @r#"
    exit 0
    --- stdout
    client key `laptop` is revoked
      ! No key is in force: nobody may call the gateway. `ripcord keys add` makes
      one; with every revoked key removed it asks for none.
    "#);
    becomes(&key, 401);
    assert_eq!(asks(&server, "anything"), 401);
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
    // It says so, too, when it is started.
    let server = Server::start(&world);
    server.signal("TERM");
    let (_, talk) = server.ended();
    assert!(talk.contains("client key of `ripcord keys`"), "{talk}");
}

/// Pro with its 4-hour window used up, and a balance that has paid so much today.
fn paid(amount_usd: f64) -> World {
    let mut account = AccountSpec::new("alice", PlanSpec::Pro).used_usd(8.4, 20.0).balance_usd(5.0);
    account.usage_rows = vec![UsageRowSpec {
        at: "2026-09-27T02:00:00".to_owned(),
        model: "openai/gpt-oss-120b".to_owned(),
        amount_usd,
        count: 3,
        input_tokens: 0,
        output_tokens: 0,
    }];
    World::with(account)
}

#[test]
fn a_daily_bound_in_the_words_of_the_commands() {
    let bound = "[spending]\npaygo = { daily_usd = 2.0 }\n";
    let open = paid(0.75).config(bound);
    insta::assert_snapshot!(open.run(&["budget-check"]).seen(), @r#"
    exit 0
    --- stdout
    alice
      ✓ go on: the 4-hour window is used up and the balance pays: $5.00
    "#);
    let usage = open.run(&["usage", "--json"]).report("usage");
    let account = &usage["accounts"][0];
    assert_eq!(
        (&account["paygo"], &account["paygo_daily_usd"], &account["paid_today_usd"]),
        (&"daily".into(), &2.0.into(), &0.75.into())
    );
    let reached = paid(2.0).config(bound);
    insta::assert_snapshot!(reached.run(&["budget-check"]).seen(), @r#"
    exit 1
    --- stdout
    alice
      ✗ stop: the 4-hour window is used up and the balance has paid $2.00 of the
        $2.00 that it may pay a day; it turns in 47 min, at 12:00 UTC
        to let the balance ($5.00) pay more: a larger `daily_usd`, or paygo =
        "allow", under [spending]
    "#);
    let balance = reached.run(&["usage"]).stdout;
    let line = balance.lines().find(|line| line.contains("balance $")).unwrap();
    insta::assert_snapshot!(line, @r#"  balance $5.00 · has paid $2.00 of the $2.00 that it may pay a day"#);
    assert_eq!(reached.run(&["sanity"]).code, 1);
    assert_eq!(reached.run(&["wait-for-reset", "--timeout", "0"]).code, 1);
    let shown = reached.run(&["config", "show"]).stdout;
    insta::assert_snapshot!(shown.lines().find(|line| line.contains("paygo")).unwrap(), @r#"  paygo         { daily_usd = 2.0 }  line 2"#);
    // Where nobody set a bound, the history is not read.
    let asked = |world: &World| {
        let log = world.emulator().control().log();
        log.iter().filter(|entry| entry.path.starts_with("/users/me/usage")).count()
    };
    let unbound = paid(2.0);
    assert_eq!(unbound.run(&["budget-check"]).code, 1);
    assert_eq!((asked(&unbound), asked(&open) > 0), (0, true));
}

#[test]
fn a_reserve_in_the_words_of_the_commands() {
    let account = AccountSpec::new("alice", PlanSpec::Pro).used_usd(7.7, 20.0);
    let world = World::with(account).config("[spending]\nreserve = \"10%\"\n");
    assert_eq!(world.run(&["budget-check"]).code, 0);
    insta::assert_snapshot!(world.run(&["budget-check", "--priority", "batch"]).seen(), @r#"
    exit 1
    --- stdout
    alice
      ✗ stop: the last 10% of the 4-hour window is kept for interactive work; it
        turns in 47 min, at 12:00 UTC
        to let such work use all of it: reserve = "0%" under [spending]
    "#);
    // A batch is what it asks for.
    let fits = |arguments: &[&str]| world.run(&[&["can-complete", "1"], arguments].concat()).code;
    assert_eq!((fits(&[]), fits(&["--priority", "interactive"])), (1, 0));
    let waits = |arguments: &[&str]| {
        world.run(&[&["wait-for-reset", "--timeout", "0"], arguments].concat()).code
    };
    assert_eq!((waits(&[]), waits(&["--priority", "agent"])), (0, 1));
}
