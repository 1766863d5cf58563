use proptest::prelude::*;

use super::*;

const EARLIER: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-02T00:00:00Z";
const NOW: &str = "2026-01-03T00:00:00Z";

fn find<'a>(conditions: &'a [Condition], type_: &str) -> &'a Condition {
    conditions.iter().find(|it| it.type_ == type_).expect("condition is set")
}

fn at(type_: &str, status: &str, reason: &str, time: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        last_transition_time: Some(time.to_owned()),
        ..Condition::default()
    }
}

#[track_caller]
fn ready_is(living: &[Condition], status: &str, reason: &str) {
    let actual = Conditions::keep(living, NOW).finish();
    let ready = find(&actual, types::READY);
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), (status, reason), "{living:?}");
}

#[test]
fn ready_is_true_when_all_living_conditions_are() {
    ready_is(
        &[
            at(types::PRESETS_COMBINED, "True", "", EARLIER),
            at(types::WORKLOADS_READY, "True", "", EARLIER),
            at(types::ROUTER_READY, "True", "", EARLIER),
        ],
        "True",
        "",
    );
}

#[test]
fn a_living_condition_that_was_never_marked_leaves_ready_unknown() {
    ready_is(&[at(types::PRESETS_COMBINED, "True", "", EARLIER)], "Unknown", "");
}

#[test]
fn false_wins_over_unknown_even_when_older() {
    ready_is(
        &[
            at(types::PRESETS_COMBINED, "Unknown", "ValidationUnavailable", LATER),
            at(types::WORKLOADS_READY, "False", "Progressing", EARLIER),
        ],
        "False",
        "Progressing",
    );
}

#[test]
fn the_latest_of_several_failures_explains_ready() {
    ready_is(
        &[
            at(types::WORKLOADS_READY, "False", "Progressing", EARLIER),
            at(types::ROUTER_READY, "False", "RefsInvalid", LATER),
        ],
        "False",
        "RefsInvalid",
    );
}

#[test]
fn of_failures_in_the_same_second_the_cause_explains_ready() {
    ready_is(
        &[
            at(types::ROUTER_READY, "False", "WaitingForGateway", LATER),
            at(types::WORKLOADS_READY, "False", "Progressing", LATER),
        ],
        "False",
        "Progressing",
    );
}

#[test]
fn transition_times_stay_until_something_changes() {
    let previous = [
        Condition {
            message: "same".to_owned(),
            ..at(types::WORKLOADS_READY, "False", "Progressing", EARLIER)
        },
        Condition { message: "old".to_owned(), ..at(types::ROUTER_READY, "False", "Progressing", EARLIER) },
    ];
    let mut conditions = Conditions::new(&previous, NOW);
    conditions.mark(types::WORKLOADS_READY, Verdict::no("Progressing", "same"));
    conditions.mark(types::ROUTER_READY, Verdict::no("Progressing", "new"));
    let actual = conditions.finish();
    assert_eq!(find(&actual, types::WORKLOADS_READY).last_transition_time.as_deref(), Some(EARLIER));
    assert_eq!(find(&actual, types::ROUTER_READY).last_transition_time.as_deref(), Some(NOW));
}

#[test]
fn only_living_conditions_have_no_severity() {
    let mut conditions = Conditions::new(&[], NOW);
    for type_ in OWN {
        conditions.mark(type_, Verdict::True);
    }
    let informative = conditions.finish().into_iter().filter(|it| it.severity == "Info").count();
    assert_eq!(informative, OWN.len() - LIVING.len() - 1);
}

#[test]
fn conditions_of_others_are_kept_and_own_ones_start_anew() {
    let previous = [
        at("QuotaReserved", "True", "", EARLIER),
        at(types::SCALING_READY, "False", "HPAProgressing", EARLIER),
    ];
    let actual = Conditions::new(&previous, NOW).finish();
    let kept: Vec<_> = actual.iter().map(|it| it.type_.as_str()).collect();
    assert_eq!(kept, ["QuotaReserved", types::READY]);
}

#[test]
fn an_aggregate_repeats_its_first_failing_part() {
    let mut conditions = Conditions::new(&[], NOW);
    conditions.mark(types::GATEWAYS_READY, Verdict::unknown("Later", ""));
    conditions.mark(types::INFERENCE_POOL_READY, Verdict::no("WaitingForGateway", "second"));
    conditions.mark(types::HTTP_ROUTES_READY, Verdict::no("HTTPRoutesNotReady", "first"));
    conditions.mark_from(
        types::ROUTER_READY,
        &[types::GATEWAYS_READY, types::HTTP_ROUTES_READY, types::INFERENCE_POOL_READY],
    );
    let actual = conditions.finish();
    let router = find(&actual, types::ROUTER_READY);
    assert_eq!((router.status.as_str(), router.message.as_str()), ("False", "first"));
}

fn verdicts() -> impl Strategy<Value = Vec<(&'static str, Verdict)>> {
    let verdict = prop_oneof![
        Just(Verdict::True),
        "[A-Z][a-z]{1,8}".prop_map(|it| Verdict::no(it, "no")),
        "[A-Z][a-z]{1,8}".prop_map(|it| Verdict::unknown(it, "unknown")),
    ];
    proptest::collection::vec(verdict, OWN.len() - 1)
        .prop_map(|it| OWN[1..].iter().copied().zip(it).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn the_order_of_marking_does_not_matter(marks in verdicts(), seed in any::<prop::sample::Index>()) {
        let in_order = |marks: &[(&'static str, Verdict)]| {
            let mut conditions = Conditions::new(&[], NOW);
            for (type_, verdict) in marks {
                conditions.mark(type_, verdict.clone());
            }
            conditions.finish()
        };
        let mut rotated = marks.clone();
        rotated.rotate_left(seed.index(marks.len()));
        let mut reversed = marks.clone();
        reversed.reverse();
        prop_assert_eq!(in_order(&marks), in_order(&rotated));
        prop_assert_eq!(in_order(&marks), in_order(&reversed));
    }

    #[test]
    fn marking_again_changes_nothing(marks in verdicts()) {
        let mut first = Conditions::new(&[], EARLIER);
        marks.iter().for_each(|(type_, verdict)| first.mark(type_, verdict.clone()));
        let first = first.finish();
        let mut second = Conditions::new(&first, NOW);
        marks.iter().for_each(|(type_, verdict)| second.mark(type_, verdict.clone()));
        prop_assert_eq!(first, second.finish());
    }
}
