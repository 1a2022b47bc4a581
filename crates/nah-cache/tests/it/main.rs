//! Tests of the cache through its public interface.

mod factory;
mod reflector;
mod rest_mapper;
mod script;
mod server;
