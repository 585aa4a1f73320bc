//! Tests of the journal through its public face.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod canonical;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod export;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod vectors;
