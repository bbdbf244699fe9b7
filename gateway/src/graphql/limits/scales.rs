//! Weighing a document: what it comes to with its fragments written out, found
//! without writing them out.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Positioned, ServerError};

use super::{
    DEEPEST, MOST_ALIASES, MOST_ARGUMENTS, MOST_DIRECTIVES, MOST_SELECTIONS, MOST_VARIABLES, TOO_DEEP, refused,
};

/// Refuses a document that weighs too much.
pub(super) fn weigh(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut scales = Scales { document, fragments: HashMap::new() };
    let mut total = Weight::default();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        head(operation)?;
        total.add(scales.set(&operation.selection_set.node, 0)?);
    }
    // Also the fragments that no operation spreads: the rules look at all of them.
    for name in document.fragments.keys() {
        scales.fragment(name, 0)?;
    }
    if total.selections > MOST_SELECTIONS {
        return Err(refused("the document selects too much"));
    }
    if total.aliases > MOST_ALIASES { Err(refused("the document has too many aliases")) } else { Ok(()) }
}

/// Whether the operation of this name, or the only one, is a subscription.
pub(super) fn subscribes(document: &ExecutableDocument, name: Option<&str>) -> bool {
    let mut operations = document.operations.iter();
    let meant = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known.as_str() == name)),
        None => operations.next().filter(|_| operations.next().is_none()),
    };
    meant.is_some_and(|(_, operation)| operation.node.ty == OperationType::Subscription)
}

/// What stands before an operation's fields, and that a subscription has one field:
/// the executor would run several side by side, and pass over a fragment.
fn head(operation: &OperationDefinition) -> Result<(), ServerError> {
    directives(&operation.directives)?;
    if operation.variable_definitions.len() > MOST_VARIABLES {
        return Err(refused("the document has too many variables"));
    }
    for variable in &operation.variable_definitions {
        directives(&variable.node.directives)?;
    }
    let one = match operation.selection_set.node.items.as_slice() {
        [Positioned { node: Selection::Field(field), .. }] => {
            field.node.directives.is_empty() && field.node.name.node != "__typename"
        }
        _ => false,
    };
    if operation.ty == OperationType::Subscription && !one {
        return Err(refused("a subscription selects exactly one field, written out and without directives"));
    }
    Ok(())
}

fn directives(directives: &[Positioned<Directive>]) -> Result<(), ServerError> {
    if directives.len() > MOST_DIRECTIVES {
        return Err(refused("there are too many directives in one place"));
    }
    directives.iter().try_for_each(|directive| arguments(directive.node.arguments.len()))
}

fn arguments(count: usize) -> Result<(), ServerError> {
    if count > MOST_ARGUMENTS { Err(refused("there are too many arguments in one place")) } else { Ok(()) }
}

/// What a selection set comes to with its fragments written out.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    selections: usize,
    aliases: usize,
    height: usize,
}

impl Weight {
    /// Something else beside it.
    fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.height = self.height.max(other.height);
    }
}

struct Scales<'a> {
    document: &'a ExecutableDocument,
    /// What is known of each fragment; `None` while it is being weighed, so that
    /// meeting it again means that it contains itself.
    fragments: HashMap<&'a str, Option<Weight>>,
}

impl<'a> Scales<'a> {
    fn set(&mut self, set: &'a SelectionSet, depth: usize) -> Result<Weight, ServerError> {
        if depth > DEEPEST {
            return Err(refused(TOO_DEEP));
        }
        let mut total = Weight::default();
        for selection in &set.items {
            directives(selection.node.directives())?;
            let inner = match &selection.node {
                Selection::Field(field) => self.field(&field.node, depth + 1)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, depth + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, depth + 1)?,
            };
            total.add(Weight {
                selections: inner.selections.saturating_add(1),
                height: inner.height + 1,
                aliases: inner.aliases,
            });
        }
        if depth + total.height > DEEPEST { Err(refused(TOO_DEEP)) } else { Ok(total) }
    }

    fn field(&mut self, field: &'a Field, depth: usize) -> Result<Weight, ServerError> {
        arguments(field.arguments.len())?;
        let mut weight = self.set(&field.selection_set.node, depth)?;
        weight.aliases = weight.aliases.saturating_add(usize::from(field.alias.is_some()));
        Ok(weight)
    }

    fn fragment(&mut self, name: &str, depth: usize) -> Result<Weight, ServerError> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            // Unknown: the executor's rules will say so.
            return Ok(Weight::default());
        };
        match self.fragments.insert(name.as_str(), None) {
            Some(None) => Err(refused("a fragment contains itself")),
            Some(Some(known)) => {
                self.fragments.insert(name.as_str(), Some(known));
                if depth + known.height > DEEPEST { Err(refused(TOO_DEEP)) } else { Ok(known) }
            }
            None => {
                directives(&fragment.node.directives)?;
                let weight = self.set(&fragment.node.selection_set.node, depth)?;
                self.fragments.insert(name.as_str(), Some(weight));
                Ok(weight)
            }
        }
    }
}
