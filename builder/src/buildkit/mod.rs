//! BuildKit's API: session services, solve, status, typed errors. The only place with wire types.
