//! Parameters of a statement that is put together from pieces.

use sea_orm::Value;

/// Parameters in the order of their placeholders, `$1`, `$2` and so on.
pub(super) struct Params(Vec<Value>);

impl Params {
    /// Starts with those that the text of the statement numbers itself.
    pub(super) fn new<const N: usize>(fixed: [Value; N]) -> Self {
        Self(fixed.into())
    }

    /// Adds a parameter and returns its placeholder.
    pub(super) fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// Adds the parameters of a list and returns their placeholders with commas between them. An empty list, which is
    /// no SQL, becomes `NULL`, so that nothing is `IN` it.
    pub(super) fn add_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> String {
        let placeholders: Vec<_> = values.into_iter().map(|value| self.add(value)).collect();
        if placeholders.is_empty() { "NULL".to_owned() } else { placeholders.join(", ") }
    }
}

impl IntoIterator for Params {
    type Item = Value;
    type IntoIter = std::vec::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_follow_the_fixed_ones() {
        let mut params = Params::new([1.into(), 2.into()]);
        assert_eq!(params.add("x"), "$3");
        assert_eq!(params.add_list(["y", "z"]), "$4, $5");
        assert_eq!(params.add_list(None::<i64>), "NULL");
        assert_eq!(params.into_iter().count(), 5);
    }
}
