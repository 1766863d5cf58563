//! Flags of a container, wherever they stand: presets put them into `command`, users into `args`.
//!
//! A flag has one or two dashes and its value after `=` or as the next element, as Go's flag libraries read them.

use k8s_openapi::api::core::v1::Container;

/// Whether a flag has a value in the next element when it has none after `=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    Switch,
    Valued,
}

/// Whether one of the flags is given.
pub(crate) fn has(container: &Container, names: &[&str]) -> bool {
    lists(container)
        .any(|list| list.iter().any(|it| split(it).is_some_and(|(name, _)| names.contains(&name))))
}

/// The value of the first of the valued flags that is given.
pub(crate) fn value<'a>(container: &'a Container, names: &[&str]) -> Option<&'a str> {
    lists(container).find_map(|list| {
        let (index, inline) = find(list, names)?;
        inline.or_else(|| list.get(index + 1).map(String::as_str))
    })
}

/// Whether the switch is given as `=false`.
pub(crate) fn is_off(container: &Container, name: &str) -> bool {
    lists(container).any(|list| find(list, &[name]).is_some_and(|(_, inline)| inline == Some("false")))
}

/// Puts `text` in the place of the value of the first of the valued flags that is given.
pub(crate) fn set_value(container: &mut Container, names: &[&str], text: &str) {
    for list in lists_mut(container) {
        let Some((index, inline)) = find(list, names) else { continue };
        if inline.is_some() {
            let flag = list[index].split('=').next().unwrap_or_default().to_owned();
            list[index] = format!("{flag}={text}");
        } else if let Some(value) = list.get_mut(index + 1) {
            text.clone_into(value);
        }
        return;
    }
}

/// Removes every occurrence of the flag and returns the value of the last one; a switch without value is `true`.
pub(crate) fn take(container: &mut Container, name: &str, arity: Arity) -> Option<String> {
    let mut taken = None;
    for list in lists_mut(container) {
        while let Some((index, inline)) = find(list, &[name]) {
            let inline = inline.map(str::to_owned);
            list.remove(index);
            taken = inline.or_else(|| match arity {
                Arity::Switch => Some("true".to_owned()),
                Arity::Valued => (index < list.len()).then(|| list.remove(index)),
            });
        }
    }
    taken
}

/// Removes empty elements, which conditional templates leave behind and which end the parsing of some programs. One
/// that follows a flag stays: it is the flag's value.
pub(crate) fn drop_empty(container: &mut Container) {
    for list in lists_mut(container) {
        let mut may_have_value = false;
        list.retain(|it| {
            let keep = !it.is_empty() || may_have_value;
            may_have_value = it.starts_with('-') && !it.contains('=');
            keep
        });
    }
}

fn lists(container: &Container) -> impl Iterator<Item = &Vec<String>> {
    [&container.command, &container.args].into_iter().flatten()
}

fn lists_mut(container: &mut Container) -> impl Iterator<Item = &mut Vec<String>> {
    [&mut container.command, &mut container.args].into_iter().flatten()
}

/// Position of the first of the flags and the value after its `=`.
fn find<'a>(list: &'a [String], names: &[&str]) -> Option<(usize, Option<&'a str>)> {
    list.iter().enumerate().find_map(|(index, it)| {
        let (name, inline) = split(it)?;
        names.contains(&name).then_some((index, inline))
    })
}

/// Name and inline value of an element that is a flag.
fn split(element: &str) -> Option<(&str, Option<&str>)> {
    let flag = element.strip_prefix("--").or_else(|| element.strip_prefix('-'))?;
    Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(command: &[&str], args: &[&str]) -> Container {
        let owned = |them: &[&str]| Some(them.iter().map(|&it| it.to_owned()).collect());
        Container { command: owned(command), args: owned(args), ..Container::default() }
    }

    #[test]
    fn flags_are_found_in_every_spelling() {
        for args in [&["--port", "1"][..], &["-port", "1"], &["--port=1"], &["-port=1"]] {
            assert_eq!(value(&container(&[], args), &["port"]), Some("1"), "{args:?}");
            assert_eq!(value(&container(args, &[]), &["other", "port"]), Some("1"), "{args:?}");
        }
        assert!(!has(&container(&["port"], &["--ports=1"]), &["port"]));
        assert_eq!(value(&container(&[], &["--port"]), &["port"]), None);
    }

    #[test]
    fn taking_removes_every_occurrence_and_the_last_value_wins() {
        let mut it = container(&["epp", "--port", "1", "--x"], &["-port=2", "--y"]);
        assert_eq!(take(&mut it, "port", Arity::Valued).as_deref(), Some("2"));
        assert_eq!(it, container(&["epp", "--x"], &["--y"]));
        assert_eq!(take(&mut it, "port", Arity::Valued), None);
    }

    #[test]
    fn a_switch_has_no_value_in_the_next_element() {
        let mut it = container(&["--secure", "next"], &[]);
        assert_eq!(take(&mut it, "secure", Arity::Switch).as_deref(), Some("true"));
        assert_eq!(it, container(&["next"], &[]));
        assert_eq!(
            take(&mut container(&["--secure=false"], &[]), "secure", Arity::Switch).as_deref(),
            Some("false")
        );
    }

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        let mut it = container(&["--config-text", "old"], &["--config-text=older"]);
        set_value(&mut it, &["config-text"], "new=er");
        assert_eq!(it, container(&["--config-text", "new=er"], &["--config-text=older"]));
        let mut it = container(&[], &["-configText=old"]);
        set_value(&mut it, &["configText"], "new");
        assert_eq!(it, container(&[], &["-configText=new"]));
    }

    #[test]
    fn empty_elements_go_unless_they_are_a_value() {
        let mut it = container(&["epp", "--port", "1", "", "", "--namespace", "", "", "--x=1", ""], &[""]);
        drop_empty(&mut it);
        assert_eq!(it, container(&["epp", "--port", "1", "--namespace", "", "--x=1"], &[]));
    }
}
