use super::*;

fn failure(message: &str) -> SectionError {
    SectionError::new(types::MAIN_WORKLOAD_READY, "ReconcileSingleNodeWorkloadError", message.to_owned())
}

#[test]
fn a_failure_does_not_put_off_the_renewal_of_the_certificate() {
    let renewal = Duration::from_secs(600);
    let done = conclude(&[failure("no gateway")], Outcome::default(), Some(renewal)).unwrap();
    assert_eq!(
        done,
        Done::Failed { reason: "ReconcileSingleNodeWorkloadError", again: Some(Duration::from_secs(600)) }
    );
}

#[test]
fn a_service_whose_object_another_owns_is_looked_at_again() {
    let (kind, name) = (ChildKind::Deployment, "chat-kserve".to_owned());
    let taken = ApplyError::NotControlled { kind, name, service: Key::new("team", "chat") };
    let outcome = Outcome { failures: vec![taken], ..Outcome::default() };
    let done = conclude(&[failure("taken")], outcome, Some(LOOK)).unwrap();
    assert!(matches!(done, Done::Failed { again: Some(REFUSED), .. }), "{done:?}");
}

#[test]
fn a_failure_that_a_condition_tells_of_is_not_new() {
    let told = |message: &str| Condition {
        type_: types::MAIN_WORKLOAD_READY.to_owned(),
        reason: "ReconcileSingleNodeWorkloadError".to_owned(),
        message: message.to_owned(),
        ..Condition::default()
    };
    assert!(is_new_failure(&failure("a"), &[]));
    assert!(is_new_failure(&failure("a"), &[told("b")]));
    assert!(!is_new_failure(&failure("a"), &[told("b"), told("a")]));
}
