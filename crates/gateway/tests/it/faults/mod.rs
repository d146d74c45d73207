//! Every way in which a request can go wrong, and what becomes of it: what the client gets, and what the upstream sees,
//! streaming and not. Where somebody healthy may answer, the client gets the whole answer.
//!
//! Each case is a row of `docs/reference/faults.md`.

/// A test for each case, and the list of all cases for the table.
macro_rules! cases {
    ($($(#[$about:meta])* $name:ident = $case:expr;)+) => {
        $(fn $name() -> $crate::faults::case::Case { $case })+

        pub(crate) fn all() -> Vec<$crate::faults::case::Case> {
            vec![$($name()),+]
        }

        mod holds {
            $($(#[$about])*
            #[tokio::test]
            async fn $name() {
                super::$name().check().await;
            })+
        }
    };
}

mod accounts;
pub(crate) mod answers;
mod broken;
mod case;
mod client;
mod elsewhere;
mod flapping;
mod leaving;
mod page;
mod refused;
mod silent;
mod upstream;
