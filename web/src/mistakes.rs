//! What was wrong with a form: each mistake is told beside its field, what belongs to none above
//! the form.
//!
//! A refused form is drawn again with what was typed, so that only the mistake has to be mended.
//! The templates' side of it is `_field.html`: it ties the words to their field for those who do
//! not see them side by side.

use gateway::ApiError;
use platform::error::Code;

use crate::error::sentence;
use crate::when;

/// The mistakes of one form, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    whole: Option<String>,
    /// The name of the field, and what to do about it.
    fields: Vec<(String, String)>,
}

impl Mistakes {
    /// Something that is about no field in particular.
    pub(crate) fn of_the_form(said: impl Into<String>) -> Self {
        Self { whole: Some(said.into()), fields: Vec::new() }
    }

    /// A single field's.
    pub(crate) fn at_field(field: impl Into<String>, said: impl Into<String>) -> Self {
        let mut mistakes = Self::default();
        mistakes.add(field, said);
        mistakes
    }

    /// One more field's. Of two for the same field the first is told.
    pub(crate) fn add(&mut self, field: impl Into<String>, said: impl Into<String>) {
        self.fields.push((field.into(), said.into()));
    }

    /// The mistakes of another part of the form.
    pub(crate) fn extend(&mut self, other: Self) {
        self.whole = self.whole.take().or(other.whole);
        self.fields.extend(other.fields);
    }

    /// What is wrong with this field.
    pub(crate) fn at(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == field).map(|(_, said)| said.as_str())
    }

    /// What is wrong with the form as a whole.
    pub(crate) fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_none() && self.fields.is_empty()
    }
}

/// What the API refused, where no field is to blame.
impl From<&ApiError> for Mistakes {
    fn from(error: &ApiError) -> Self {
        Self::of_the_form(words(error))
    }
}

/// The API's words for a visitor: as a sentence, and with the time to wait if there is one.
pub(crate) fn words(error: &ApiError) -> String {
    match error.retry_after {
        Some(seconds) if error.code == Code::RateLimited => {
            format!("Too many attempts. Try again in {}.", when::wait(seconds))
        }
        Some(_) | None => sentence(&error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_found_at_its_field_and_nowhere_else() {
        let mut mistakes = Mistakes::at_field("city", "Say which town.");
        mistakes.add("city", "Too long.");
        assert_eq!(mistakes.at("city"), Some("Say which town."));
        assert_eq!(mistakes.at("cit"), None);
        assert_eq!(mistakes.whole(), None);
        assert!(!mistakes.is_empty() && Mistakes::default().is_empty());
    }

    #[test]
    fn who_came_too_often_is_told_how_long_to_wait() {
        let mut error = ApiError::new(Code::RateLimited, "too many attempts");
        error.retry_after = Some(42);
        assert_eq!(words(&error), "Too many attempts. Try again in 42 seconds.");
        assert_eq!(words(&ApiError::new(Code::Conflict, "not now")), "Not now.");
    }
}
