//! Language of a phone number whose owner is unknown.

/// Countries (ISO 3166) by main language (ISO 639-1). A country with several languages is listed under the one that
/// most people speak.
const SPOKEN: &[(&str, &[&str])] = &[
    ("ar", &["AE", "BH", "DZ", "EG", "IQ", "JO", "KW", "LB", "LY", "MA", "OM", "QA", "SA", "TN", "YE"]),
    ("bg", &["BG"]),
    ("cs", &["CZ"]),
    ("da", &["DK", "GL"]),
    ("de", &["AT", "CH", "DE", "LI"]),
    ("el", &["CY", "GR"]),
    (
        "en",
        &[
            "AU", "BB", "CA", "GB", "GG", "GH", "GI", "IE", "IM", "JE", "JM", "KE", "MT", "NG", "NZ", "SG", "TT", "US",
            "ZA",
        ],
    ),
    (
        "es",
        &[
            "AR", "BO", "CL", "CO", "CR", "CU", "DO", "EC", "ES", "GQ", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "PY",
            "SV", "UY", "VE",
        ],
    ),
    ("et", &["EE"]),
    ("fi", &["AX", "FI"]),
    (
        "fr",
        &[
            "BF", "BJ", "CD", "CG", "CI", "CM", "FR", "GA", "GF", "GN", "GP", "LU", "MC", "MG", "ML", "MQ", "NC", "NE",
            "PF", "RE", "SN", "TG", "YT",
        ],
    ),
    ("he", &["IL"]),
    ("hi", &["IN"]),
    ("hr", &["HR"]),
    ("hu", &["HU"]),
    ("id", &["ID"]),
    ("is", &["IS"]),
    ("it", &["IT", "SM", "VA"]),
    ("ja", &["JP"]),
    ("ko", &["KR"]),
    ("lt", &["LT"]),
    ("lv", &["LV"]),
    ("ms", &["MY"]),
    ("nb", &["NO", "SJ"]),
    ("nl", &["AW", "BE", "BQ", "CW", "NL", "SR", "SX"]),
    ("pl", &["PL"]),
    ("pt", &["AO", "BR", "CV", "GW", "MZ", "PT", "ST", "TL"]),
    ("ro", &["MD", "RO"]),
    ("ru", &["BY", "KZ", "RU"]),
    ("sk", &["SK"]),
    ("sl", &["SI"]),
    ("sr", &["RS"]),
    ("sv", &["SE"]),
    ("th", &["TH"]),
    ("tr", &["TR"]),
    ("uk", &["UA"]),
    ("vi", &["VN"]),
    ("zh", &["CN", "HK", "MO", "TW"]),
];

pub(super) fn language_of(country: &str) -> Option<&'static str> {
    SPOKEN.iter().find(|(_, countries)| countries.contains(&country)).map(|(language, _)| *language)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::text::Language;

    #[test]
    fn every_country_has_one_language() {
        let mut seen = HashSet::new();
        for (language, countries) in SPOKEN {
            assert!(Language::parse(language).is_ok());
            for country in *countries {
                assert!(country.len() == 2 && seen.insert(country), "{country}");
            }
        }
        assert_eq!((language_of("BE"), language_of("CH"), language_of("AQ")), (Some("nl"), Some("de"), None));
    }
}
