use super::*;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
}

fn names(hosts: &[&str]) -> SubjectNames {
    let mut names = SubjectNames::default();
    hosts.iter().for_each(|it| names.insert(it));
    names
}

/// Takes every step that is due on `day`.
fn advanced(authority: &Authority, day: i64) -> Authority {
    let mut authority = authority.clone();
    while let Some(next) = authority.advance(at(day)).unwrap() {
        authority = next;
    }
    authority
}

#[test]
fn a_leaf_says_what_was_asked_for() {
    let authority = Authority::create(at(0)).unwrap();
    let names = names(&["a.example", "10.0.0.1", "fd00::1"]);
    let leaf = authority.issue("a", &names, at(1)).unwrap().read().unwrap();
    assert_eq!(leaf.names, names);
    assert_eq!(leaf.not_after, at(366));
    assert_eq!(leaf.not_before, at(1) - BACKDATED);
    assert!(leaf.renewal() > at(240) && leaf.renewal() < at(248), "{}", leaf.renewal());
    assert!(authority.signed(&leaf));
    assert!(!leaf.is_self_signed());
    assert!(!Authority::create(at(0)).unwrap().signed(&leaf));
}

#[test]
fn a_key_of_another_certificate_is_found_out() {
    let authority = Authority::create(at(0)).unwrap();
    let (one, two) = (
        authority.issue("a", &names(&["a"]), at(0)).unwrap(),
        authority.issue("a", &names(&["a"]), at(0)).unwrap(),
    );
    let mixed = KeyedCertificate { certificate: one.certificate, key: two.key };
    assert!(matches!(mixed.read(), Err(PkiError::KeyMismatch)));
}

#[test]
fn names_cover_their_subsets() {
    assert!(names(&["a", "10.0.0.1"]).cover(&names(&["a"])));
    assert!(!names(&["a"]).cover(&names(&["a", "10.0.0.1"])));
    assert!(!names(&["a", "10.0.0.1"]).cover(&names(&["b"])));
}

#[test]
fn an_authority_rotates_with_overlap() {
    let first = Authority::create(at(0)).unwrap();
    assert_eq!(advanced(&first, 2400), first, "nothing is due in the first two thirds");

    let announced = advanced(&first, 2440);
    assert_eq!(announced.signing(), first.signing(), "a successor does not sign before it is known");
    assert!(announced.successor().is_some());
    let trusted = certificate::bundle(announced.bundle());
    assert_eq!(trusted.len(), 2);

    let promoted = advanced(&announced, 2441);
    assert_ne!(promoted.signing(), first.signing());
    assert!(promoted.successor().is_none());
    assert_eq!(certificate::bundle(promoted.bundle()).len(), 2, "the old one stays trusted");
    let old_leaf = first.issue("a", &names(&["a"]), at(2439)).unwrap().read().unwrap();
    assert!(promoted.signed(&old_leaf));

    let later = advanced(&promoted, 3660);
    assert_eq!(later.signing(), promoted.signing());
    assert_eq!(certificate::bundle(later.bundle()).len(), 1, "an expired authority is dropped");
    assert!(!later.signed(&old_leaf));
}

#[test]
fn an_expired_authority_is_replaced_at_once() {
    let first = Authority::create(at(0)).unwrap();
    let second = advanced(&first, 4000);
    assert_ne!(second.signing(), first.signing());
    assert!(second.signing().read().unwrap().not_after > at(4000));
}

#[test]
fn the_secret_holds_the_whole_authority() {
    let first = Authority::create(at(0)).unwrap();
    for day in [0, 2440, 2441, 3660] {
        let authority = advanced(&first, day);
        assert_eq!(store::from_data(&store::to_data(&authority)).as_ref(), Some(&authority), "day {day}");
    }
}

#[test]
fn a_damaged_secret_is_no_authority_and_a_damaged_successor_no_harm() {
    let announced = advanced(&Authority::create(at(0)).unwrap(), 2440);
    let data = store::to_data(&announced);
    for key in ["tls.crt", "tls.key"] {
        let mut damaged = data.clone();
        damaged.insert(key.to_owned(), k8s_openapi::ByteString(b"nonsense".to_vec()));
        assert_eq!(store::from_data(&damaged), None, "{key}");
        damaged.remove(key);
        assert_eq!(store::from_data(&damaged), None, "{key}");
    }
    let mut damaged = data;
    damaged.insert("next.key".to_owned(), k8s_openapi::ByteString(b"nonsense".to_vec()));
    let restored = store::from_data(&damaged).unwrap();
    assert_eq!(restored.signing(), announced.signing());
    assert!(restored.successor().is_none());
}
