//! Service accounts: the user's, and what generated ones copy from the namespace's default account.

/// Service accounts and what they reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFacts {}
