//! Attempts of code over recorded pasts, run by the real loop over a source that gives one task and keeps what comes back.

#[cfg(test)]
mod branches;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod script;
#[cfg(test)]
mod steps;
