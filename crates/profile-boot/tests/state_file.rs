//! The state file is the agent's: what it holds beside the operator's word comes back as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use std::collections::BTreeMap;
use std::fs;

use profile_boot::gateway_state::{FILE_NAME, Record, record_want};
use proptest::prelude::*;
use s6_svc::Want;
use serde_json::value::RawValue;

/// The text of any JSON value, numbers beyond all machine types included.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?[1-9][0-9]{0,40}",
        "-?[1-9][0-9]{0,3}\\.[0-9]{1,30}(e-?[1-9][0-9]?)?",
        "\\PC{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\u00e9\\ud83d\\ude00\\u0000\"".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(("[a-z_]{1,6}", inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_field_survives_to_the_last_digit(
        fields in proptest::collection::btree_map("[a-z_]{1,12}", json(), 0..6),
        starts in any::<bool>(),
    ) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE_NAME);
        let text: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        fs::write(&path, format!("{{{}}}", text.join(",\n"))).unwrap();
        let (want, word) = if starts { (Want::Up, "running") } else { (Want::Down, "stopped") };
        record_want(home.path(), want).unwrap();
        let bytes = fs::read(&path).unwrap();
        let read: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&bytes).unwrap();
        let read: BTreeMap<_, _> = read.iter().map(|(name, value)| (name.clone(), value.get().to_owned())).collect();
        let mut expected = fields;
        expected.insert("desired_state".to_owned(), format!("\"{word}\""));
        prop_assert_eq!(expected, read);
        prop_assert_eq!(Record::read(home.path()).want(), Some(want));
    }

    #[test]
    fn no_bytes_make_reading_or_recording_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE_NAME), &bytes).unwrap();
        let _: String = Record::read(home.path()).to_string();
        record_want(home.path(), Want::Up).unwrap();
        prop_assert_eq!(Record::read(home.path()).want(), Some(Want::Up));
    }
}
