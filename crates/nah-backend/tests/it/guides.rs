//! The guides: every name of the interface in Go has its row, and whatever is not here has a reason.

#[test]
fn every_name_of_the_go_interface_has_a_counterpart_or_a_reason() {
    let guide = include_str!("../../../../docs/go-to-rust.md");
    let (table, ours) = guide.split_once("## Only here").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Go "))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect())
        .collect();
    assert!(!ours.is_empty());
    assert!(rows.len() >= 182, "{} rows", rows.len());
    for row in rows {
        let [name, here, note] = &*row else { panic!("not three cells: {row:?}") };
        assert!(!name.is_empty() && !here.is_empty(), "{row:?}");
        assert!(*here != "not here" || !note.is_empty(), "{name}: no reason");
        assert!(!here.contains("later"), "{name}: promised, and not here");
    }
}
