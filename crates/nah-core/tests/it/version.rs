//! Versions are ordered as unsigned integers.

use std::cmp::Ordering;

use nah_core::{ResourceVersion, Uid};

#[test]
fn compare_as_unsigned_integers() // F42, Q7
{
    let version = |text: &str| ResourceVersion::from(text);
    assert_eq!(version("9").compare(&version("10")), Some(Ordering::Less));
    assert_eq!(version("18446744073709551615").compare(&version("1")), Some(Ordering::Greater));
    assert_eq!(version("7").compare(&ResourceVersion::from(7)), Some(Ordering::Equal));
}

#[test]
fn have_no_order_where_one_is_no_number() // F42
{
    assert_eq!(ResourceVersion::from("abc").compare(&ResourceVersion::from("1")), None);
    assert_eq!(ResourceVersion::from("-1").number(), None);
    assert_eq!(ResourceVersion::from("18446744073709551616").number(), None);
}

#[test]
fn print_as_they_came() {
    assert_eq!(
        (ResourceVersion::from("7").to_string(), Uid::from("u").to_string()),
        ("7".into(), "u".into())
    );
    assert_eq!(format!("{:?} {:?}", ResourceVersion::from("7"), Uid::from("u")), "@7 u");
}
