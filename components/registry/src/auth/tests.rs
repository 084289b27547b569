//! Accounts, rights and tokens together.

use super::*;

fn configured(text: &str) -> Access {
    let accounts: Accounts = serde_json::from_str(text).unwrap();
    let folder = std::env::temp_dir().join(format!("wharf-access-{}", model::id::random_hex()));
    std::fs::create_dir(&folder).unwrap();
    let access = Access::new(&accounts, &folder);
    std::fs::remove_dir_all(&folder).unwrap();
    access.unwrap()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Two accounts of which one is a robot, and everybody may read `public/`.
fn sample(group: &str) -> Access {
    let hash = bcrypt::hash("pw", 4).unwrap();
    configured(&format!(
        r#"{{"users":[
            {{"name":"ann","password":"{hash}","groups":[{group}],"admin":true}},
            {{"name":"robot$ci","password":"{hash}",
              "rights":[{{"repositories":"ci/*","actions":["pull","push"]}}]}}],
          "groups":[{{"name":"team","rights":[{{"repositories":"team/**","actions":["pull","push","delete"]}}]}}],
          "anonymous":[{{"repositories":"public/*","actions":["pull"]}}],
          "token":{{"issuer":"me","service":"here"}}}}"#
    ))
}

#[test]
fn rights_are_by_repository_and_action() {
    let access = sample("\"team\"");
    let ann = access.caller(Some(&basic("ann", "pw"))).unwrap();
    let robot = access.caller(Some(&basic("robot$ci", "pw"))).unwrap();
    let nobody = access.caller(None).unwrap();
    for (caller, name, action, allowed) in [
        (&ann, "team/a/b", Action::Delete, true),
        (&ann, "ci/a", Action::Pull, false),
        (&robot, "ci/a", Action::Push, true),
        (&robot, "ci/a", Action::Delete, false),
        (&robot, "ci/a/b", Action::Pull, false),
        (&nobody, "public/a", Action::Pull, true),
        (&nobody, "public/a", Action::Push, false),
        (&nobody, "team/a", Action::Pull, false),
        (&robot, "public/a", Action::Pull, true),
    ] {
        assert_eq!(access.allows(caller, name, action), allowed, "{caller:?} {name} {action:?}");
    }
    for header in
        [basic("ann", "x"), basic("bob", "pw"), "Basic ?".into(), "Other x".into(), "Bearer a.b.c".into()]
    {
        assert!(access.caller(Some(&header)).is_none(), "{header}");
    }
    assert!(access.is_admin(&ann) && !access.is_admin(&robot) && !access.is_admin(&nobody));
    assert!(!Access::open().is_admin(&nobody));
}

#[test]
fn tokens_hold_no_more_than_the_account() {
    let access = sample("\"team\"");
    let robot = access.caller(Some(&basic("robot$ci", "pw"))).unwrap();
    let scopes: Vec<Scope> = ["repository:ci/a:pull,push,delete", "repository:team/a:pull"]
        .iter()
        .filter_map(|t| Scope::parse(t))
        .collect();
    let issued = access.issue(Some(&robot), &scopes, true).unwrap();
    let caller = access.caller(Some(&format!("Bearer {}", issued.token))).unwrap();
    assert!(access.allows(&caller, "ci/a", Action::Push));
    assert!(!access.allows(&caller, "ci/a", Action::Delete));
    assert!(!access.allows(&caller, "ci/b", Action::Pull), "a token is for what was asked");
    assert!(!access.allows(&caller, "team/a", Action::Pull));
    let refresh = issued.refresh.unwrap();
    assert!(access.caller(Some(&format!("Bearer {refresh}"))).is_none(), "a refresh token opens nothing");
    assert_eq!(access.refreshed(&refresh).unwrap().name(), "robot$ci");
    assert!(access.refreshed(&issued.token).is_none());
    assert!(access.issue(None, &scopes, false).is_err());
    assert!(access.issue(Some(&caller), &scopes, false).is_err(), "a token buys no token");
}

/// Row 26: what the configuration no longer gives is gone, whatever was there before.
#[test]
fn row_26_groups_are_replaced_never_added_to() {
    let before = sample("\"team\"");
    let after = sample("");
    for (access, allowed) in [(&before, true), (&after, false)] {
        let ann = access.caller(Some(&basic("ann", "pw"))).unwrap();
        assert_eq!(access.allows(&ann, "team/a", Action::Pull), allowed);
    }
}

#[test]
fn refusals_tell_how_to_come_in() {
    let access = sample("");
    let nobody = access.caller(None).unwrap();
    let refusal = access.refuse(&nobody, Some(("a/b", &[Action::Pull])), "http://h:1");
    let RegistryError::Unauthorized { challenge } = refusal else { panic!("{refusal:?}") };
    assert_eq!(challenge, r#"Bearer realm="http://h:1/token",service="here",scope="repository:a/b:pull""#);
    let ann = access.caller(Some(&basic("ann", "pw"))).unwrap();
    assert!(matches!(access.refuse(&ann, None, ""), RegistryError::Denied { .. }));
}

#[test]
fn wrong_configurations_are_refused() {
    let folder = std::env::temp_dir();
    for text in [
        r#"{"users":[{"name":"a","password":"plain"}]}"#,
        r#"{"users":[{"name":"a"}]}"#,
        r#"{"users":[{"name":"a","password":"$2y$x","groups":["none"]}]}"#,
        r#"{"htpasswd":"/nonexistent"}"#,
        r#"{"token":{"issuer":"a","service":"b","realm":"https://c","keys":["/nonexistent"]}}"#,
    ] {
        let accounts: Accounts = serde_json::from_str(text).unwrap();
        assert!(Access::new(&accounts, &folder).is_err(), "{text}");
    }
    assert!(serde_json::from_str::<Accounts>(r#"{"nonsense":1}"#).is_err());
}
