"""The use cases: what joins a subject's rules and the store. CLI, HTTP, jobs and OGC processes call them."""
