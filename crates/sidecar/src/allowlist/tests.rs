//! What is allowed, against a plain model of a pool: a map from pod names to addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde_json::json;

use super::members::{Member, Members};
use super::*;

fn endpoint(text: &str) -> Authority {
    text.parse().unwrap()
}

fn member(name: &str, addresses: &[&str]) -> Member {
    Member { name: name.to_owned(), addresses: addresses.iter().map(|it| it.parse().unwrap()).collect() }
}

fn allowlist(members: &[Member]) -> Allowlist {
    let (allowlist, mut watched) = (Allowlist::default(), Members::default());
    for member in members {
        watched.take(Event::InitApply(member.clone()));
    }
    allowlist.publish(watched.take(Event::InitDone).unwrap());
    allowlist
}

fn is_allowed(allowlist: &Allowlist, text: &str) -> bool {
    allowlist.permit(vec![endpoint(text)]).is_ok()
}

#[test]
fn a_member_is_an_address_or_a_pods_name_at_any_port() {
    let it = allowlist(&[member("Pod-a", &["10.0.0.1", "fd00::1"]), member("no-address-yet", &[])]);
    for text in [
        "10.0.0.1:8000",
        "10.0.0.1",
        "[fd00::1]:1",
        "[FD00:0::1]:1",
        "[::ffff:10.0.0.1]:1",
        "pod-A:9",
        "POD-a",
    ] {
        assert!(is_allowed(&it, text), "{text}");
    }
    for text in
        ["10.0.0.10:8000", "10.0.0.2:8000", "[fd00::2]:1", "pod-a.evil:1", "no-address-yet:8000", "pod"]
    {
        assert!(!is_allowed(&it, text), "{text}");
    }
}

#[test]
fn nothing_is_allowed_until_the_members_are_known() {
    let it = Allowlist::default();
    assert!(!it.is_known());
    assert_eq!(it.permit(vec![endpoint("10.0.0.1:1")]), Err(Denied::Unknown));
    assert_eq!(it.permit(Vec::new()), Ok(Vec::new()));
    it.publish(HashSet::new());
    let denied = Denied::NoMember { endpoint: endpoint("10.0.0.1:1") };
    assert_eq!(it.permit(vec![endpoint("10.0.0.1:1")]), Err(denied));
}

#[test]
fn of_several_candidates_the_members_stay_in_their_order() {
    let it = allowlist(&[member("a", &["10.0.0.1"]), member("b", &["10.0.0.2"])]);
    let candidates = ["10.0.0.2:1", "10.0.0.9:1", "10.0.0.1:1"].map(endpoint).to_vec();
    assert_eq!(it.permit(candidates), Ok(vec![endpoint("10.0.0.2:1"), endpoint("10.0.0.1:1")]));
}

#[test]
fn a_pods_addresses_are_in_its_status_until_it_has_ended() {
    let pod = |status: serde_json::Value| -> Member {
        let pod: DynamicObject =
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap();
        Member::of(&pod)
    };
    let ips = json!([{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }, { "ip": "nonsense" }]);
    let of = |phase: &str| pod(json!({ "phase": phase, "podIP": "10.0.0.1", "podIPs": ips }));
    assert_eq!(of("Running"), member("p", &["10.0.0.1", "10.0.0.1", "fd00::1"]));
    assert_eq!(of("Pending").addresses.len(), 3);
    assert_eq!(of("Succeeded"), member("p", &[]));
    assert_eq!(of("Failed"), member("p", &[]));
    assert_eq!(pod(json!({})), member("p", &[]));
}

/// A few pods and addresses, so that they meet often.
fn any_member() -> impl Strategy<Value = Member> {
    let address = (0_u8..6).prop_map(|it| IpAddr::from([10, 0, 0, it]));
    (0..4, proptest::collection::vec(address, 0..3))
        .prop_map(|(pod, addresses)| Member { name: format!("pod-{pod}"), addresses })
}

#[derive(Debug, Clone)]
enum Step {
    Apply(Member),
    Delete(Member),
    /// A whole list, and where it breaks off, if it does.
    List(Vec<Member>, bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let list = (proptest::collection::vec(any_member(), 0..5), any::<bool>());
    prop_oneof![
        any_member().prop_map(Step::Apply),
        any_member().prop_map(Step::Delete),
        list.prop_map(|(members, breaks_off)| Step::List(members, breaks_off)),
    ]
}

proptest! {
    #[test]
    fn the_members_are_those_of_the_last_complete_list_and_what_came_after(
        steps in proptest::collection::vec(any_step(), 0..20),
    ) {
        let (allowlist, mut members) = (Allowlist::default(), Members::default());
        let mut model: Option<BTreeMap<String, Vec<IpAddr>>> = None;
        let mut tell = |event: Event<Member>| {
            if let Some(hosts) = members.take(event) {
                allowlist.publish(hosts);
            }
        };
        for step in steps {
            match (step, &mut model) {
                (Step::List(list, breaks_off), model) => {
                    tell(Event::Init);
                    list.iter().for_each(|it| tell(Event::InitApply(it.clone())));
                    if !breaks_off {
                        tell(Event::InitDone);
                        *model = Some(list.into_iter().map(|it| (it.name, it.addresses)).collect());
                    }
                }
                // A watch begins with a list.
                (_, None) => {}
                (Step::Apply(it), Some(model)) => {
                    tell(Event::Apply(it.clone()));
                    model.insert(it.name, it.addresses);
                }
                (Step::Delete(it), Some(model)) => {
                    tell(Event::Delete(it.clone()));
                    model.remove(&it.name);
                }
            }
        }
        prop_assert_eq!(allowlist.is_known(), model.is_some());
        let model = model.unwrap_or_default();
        for last in 0..7_u8 {
            let address = IpAddr::from([10, 0, 0, last]);
            let expected = model.values().flatten().any(|it| *it == address);
            prop_assert_eq!(is_allowed(&allowlist, &format!("{address}:1")), expected);
        }
        for pod in 0..5 {
            let name = format!("pod-{pod}");
            let expected = model.get(&name).is_some_and(|it| !it.is_empty());
            prop_assert_eq!(is_allowed(&allowlist, &name), expected);
        }
    }

    #[test]
    fn no_spelling_of_an_address_decides(address: IpAddr, other: IpAddr, port: u16) {
        let it = allowlist(&[Member { name: "p".to_owned(), addresses: vec![address] }]);
        let spelled = |address: IpAddr| match address {
            IpAddr::V4(it) => [format!("{it}:{port}"), format!("[{}]:{port}", it.to_ipv6_mapped())],
            IpAddr::V6(it) => {
                let groups = it.segments().map(|group| format!("{group:04X}")).join(":");
                [format!("[{it}]"), format!("[{groups}]:{port}")]
            }
        };
        for text in spelled(address) {
            prop_assert!(is_allowed(&it, &text), "{}", text);
        }
        for text in spelled(other) {
            prop_assert_eq!(is_allowed(&it, &text), other.to_canonical() == address.to_canonical(), "{}", text);
        }
    }
}
