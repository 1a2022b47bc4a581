//! An embedded Kubernetes API server for tests, with faults on demand.
