//! The wire types of the REST interface.
